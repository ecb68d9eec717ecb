"""Accounts and corporate actions from the command line: what is in the log then, and what is refused."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from connectors.audit_log import verify_chain
from connectors.log import Log, NewRecord, open_log
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.engines.local import run_until_end
from flows.positions import Positions
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.audit_log import AUDIT_LOG
from schemas.positions import BALANCES
from schemas.topic import Topic
from serving.account_changes import AccountError, Accounts
from serving.cli import app
from serving.settings_sources import load_settings

Command = Callable[..., str]


@pytest.fixture
def tapeflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command on a home of the test's own; what it printed."""
    monkeypatch.setenv("TAPEFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        result: Result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def rows(topic: Topic) -> list[dict[str, Any]]:
    """All rows of a topic."""
    with open_log(load_settings().log) as log:
        create_topics(log, 1)
        return [
            row
            for partition in range(log.topics()[topic.name].partitions)
            for _, batch in scan_rows(log, topic, partition)
            for row in batch.to_pylist()
        ]


def listed(tapeflow: Command) -> dict[str, dict[str, Any]]:
    """The accounts as `account list --json` has them."""
    found = orjson.loads(tapeflow("account", "list", "--json"))["accounts"]
    return {row["account"]: row for row in found}


def test_an_account_is_opened_once_with_its_first_cash(tapeflow: Command) -> None:
    command = ("account", "open", "demo", "--type", "margin", "--deposit", "100000.50")
    limits = ("--limit", "max_order_quantity=1000", "--limit", "max_orders_per_second=5")
    assert "100000.50 USD paid in" in tapeflow(*command, *limits, "--restricted", "gme, amc")
    assert "nothing changed" in tapeflow(*command, *limits)
    (row,) = rows(ACCOUNTS)
    assert (row["type"], row["currency"], row["halted"]) == ("margin", "USD", False)
    assert (row["max_order_quantity"], row["max_orders_per_second"]) == (Decimal(1000), 5)
    assert row["restricted"] == "GME,AMC"
    (movement,) = rows(CASH_MOVEMENTS)
    assert (movement["amount"], movement["kind"]) == (Decimal("100000.50"), "deposit")
    with pytest.raises(AccountError, match="is there already, with other values"):
        tapeflow("account", "open", "demo", "--type", "cash")


def test_what_is_not_named_stays_and_none_takes_a_limit_away(tapeflow: Command) -> None:
    tapeflow("account", "open", "demo", "--limit", "price_collar=0.05", "--limit", "leverage=4")
    tapeflow("account", "set", "demo", "--limit", "leverage=none", "--easy-to-borrow", "ibm")
    row = listed(tapeflow)["demo"]
    assert (row["price_collar"], row["leverage"], row["easy_to_borrow"]) == (
        "0.0500000000",
        None,
        "IBM",
    )
    assert "nothing changed" in tapeflow("account", "set", "demo", "--limit", "price_collar=0.05")
    assert len(rows(ACCOUNTS)) == 2


def test_the_kill_switch_is_of_an_account_or_of_all(tapeflow: Command) -> None:
    tapeflow("account", "open", "demo")
    tapeflow("account", "halt", "demo")
    tapeflow("account", "halt")
    assert {name: row["halted"] for name, row in listed(tapeflow).items()} == {
        "*": True,
        "demo": True,
    }
    assert "HALTED" in tapeflow("account", "list")
    tapeflow("account", "resume", "demo")
    tapeflow("account", "resume")
    assert not any(row["halted"] for row in listed(tapeflow).values())
    with pytest.raises(AccountError, match=r"no account 'dem'.*'demo'"):
        tapeflow("account", "halt", "dem")


def test_cash_with_an_identifier_is_booked_once_and_the_ledger_has_it(tapeflow: Command) -> None:
    tapeflow("account", "open", "demo", "--deposit", "100")
    tapeflow("account", "cash", "demo", "50", "--id", "m1")
    assert "nothing changed" in tapeflow("account", "cash", "demo", "50", "--id", "m1")
    tapeflow("account", "cash", "demo", "--", "-30.25")
    tapeflow("account", "cash", "demo", "7", "--currency", "EUR", "--kind", "interest")
    with open_log(load_settings().log) as log:
        run_until_end(log, [Positions])
    newest = {row["currency"]: row["balance"] for row in rows(BALANCES)}
    assert newest == {"USD": Decimal("119.75"), "EUR": Decimal(7)}
    kinds = [row["kind"] for row in rows(CASH_MOVEMENTS)]
    assert kinds == ["deposit", "deposit", "withdrawal", "interest"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("account", "cash", "nobody", "5"), "there is no account 'nobody'"),
        (("account", "open", "demo", "--deposit", "much"), "must be an amount"),
        (("account", "open", "demo", "--deposit", "0"), "some of it must move"),
        (("account", "open", "demo", "--deposit", "10.005"), "USD has 2 decimals"),
        (("account", "open", "demo", "--limit", "max_order=5"), "max_order_quantity"),
        (("account", "open", "demo", "--limit", "leverage=x"), "leverage=NUMBER"),
        (("account", "open", "demo", "--limit", "leverage=0.5"), "leverage"),
        (("account", "open", "demo", "--type", "gold"), "type"),
        (("action", "split", "IBM", "2", "1", "--at", "soon"), "must be a time"),
        (("action", "split", "IBM", "0", "1", "--at", "2024-01-01"), "numerator"),
        (("action", "rename", "FB", "fb", "--at", "2024-01-01"), "must be another"),
        (("action", "split", "IBM", "two", "1", "--at", "2024-01-01"), "must be an amount"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    tapeflow: Command, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(AccountError, match=message):
        tapeflow(*arguments)
    assert not rows(ACCOUNTS)
    assert not rows(AUDIT_LOG)


def test_every_change_is_in_the_audit_log_with_who_made_it(tapeflow: Command) -> None:
    tapeflow("account", "open", "demo", "--deposit", "5", "--user", "ann")
    tapeflow("account", "halt", "demo", "--user", "bob")
    tapeflow(
        "action", "dividend", "IBM", "0.95", "--at", "2013-11-06", "--id", "a1", "--user", "ann"
    )
    told = [(row["actor"], row["action"], row["subject"]) for row in rows(AUDIT_LOG)]
    assert told == [
        ("ann", "account_open", "demo"),
        ("bob", "account_halt", "demo"),
        ("ann", "corporate_actions", "a1"),
    ]
    assert [row["user"] for row in rows(ACCOUNTS)] == ["ann", "bob"]


def test_actions_of_options_and_of_a_file_are_told_once(tapeflow: Command, tmp_path: Path) -> None:
    split = ("action", "split", "aapl", "7", "1", "--at", "2014-06-09T09:30-04:00")
    assert "1 new, 0 known" in tapeflow(*split)
    assert "0 new, 1 known already" in tapeflow(*split)
    tapeflow("action", "rename", "FB", "META", "--at", "2022-06-09", "--id", "fb-meta")
    tapeflow(
        *("action", "spin-off", "EBAY", "PYPL", "1", "1", "--at", "2015-07-20"),
        *("--cost-share", "0.6"),
    )
    file = tmp_path / "actions.csv"
    file.write_text(
        "symbol,ts_event,action,amount,currency,action_id,new_symbol\n"
        "IBM,2013-11-06,dividend,0.95,USD,,\n"
        "FB,2022-06-09,symbol_change,,,fb-meta,META\n"
    )
    assert "1 new, 1 known already" in tapeflow("action", "load", str(file))
    found = orjson.loads(tapeflow("action", "list", "--json"))["actions"]
    assert [(row["symbol"], row["action"]) for row in found] == [
        ("IBM", "dividend"),
        ("AAPL", "split"),
        ("EBAY", "spin_off"),
        ("FB", "symbol_change"),
    ]
    assert found[1]["ts_event"] == 1_402_320_600_000_000_000
    assert "numerator 7" in tapeflow("action", "list")
    file.write_text("symbol,ts_event,action,amount\nIBM,2013-11-06,dividend,\n")
    with pytest.raises(AccountError, match="amount"):
        tapeflow("action", "load", str(file))
    file.write_text("symbol,when,action\nIBM,2013-11-06,dividend\n")
    with pytest.raises(AccountError, match="no action has when"):
        tapeflow("action", "load", str(file))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_change_beside_another_takes_nothing_of_it_back(sqlite_log: Log, partitions: int) -> None:
    """A row has all values of its account: limits that were set while the kill switch was thrown let it trade again."""
    create_topics(sqlite_log, partitions)
    others = Accounts(sqlite_log, "other")
    others.open("A1", {}, None)
    meanwhile = [lambda: others.change("A1", {"halted": True})]

    def audited(
        action: str, subject: str, records: Sequence[NewRecord], holds: Callable[[], bool]
    ) -> None:
        if meanwhile:
            meanwhile.pop()()
        Accounts(sqlite_log, "me")._from_command_line(action, subject, records, holds)

    accounts = Accounts(sqlite_log, "me", audited)
    accounts.change("A1", {"max_orders_per_second": 5})
    row = accounts.newest()["A1"]
    assert (row["halted"], row["max_orders_per_second"]) == (True, 5)

    paid = {"currency": None, "kind": None, "movement_id": "m1"}
    meanwhile.append(lambda: others.move_cash("A1", Decimal(100), **paid))
    assert "nothing changed" in accounts.move_cash("A1", Decimal(100), **paid)
    assert len(list(accounts._rows(CASH_MOVEMENTS))) == 1
    assert not list(verify_chain(sqlite_log))
