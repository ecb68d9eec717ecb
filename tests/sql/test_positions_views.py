"""Views and queries of positions and cash on what the flow wrote, against the same asked of its rows in Python."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import connect, create_tables, create_views, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.orders import EXECUTIONS
from schemas.registry import TOPICS
from serving.queries import named_query
from tests.flows.positions.books import NOON, Books, Row
from tests.stores import store_process

DAY = 86_400
KEY = ("account", "strategy", "symbol", "currency")


def history() -> Books:
    """Three days of fills of two accounts and strategies, with marks, a dividend and a rate of exchange."""
    rng = np.random.default_rng(5)
    books = Books()
    for account, currency in (("A", "USD"), ("B", "EUR"), ("A", "USD")):
        books.account(account, currency)
        books.cash("10000.5", account=account, currency=currency)
    books.mark(0, 1.25, symbol="EURUSD")
    books.act("dividend", DAY + 5, amount="0.35")
    for at in sorted(rng.uniform(1, 3 * DAY, 60).tolist()):
        symbol = str(rng.choice(["IBM", "AIG", "UNMARKED"]))
        books.fill(
            str(rng.choice(["buy", "sell"])),
            str(rng.integers(1, 9) * 100),
            str(rng.integers(900, 1100) / 100),
            at,
            symbol=symbol,
            strategy=str(rng.choice(["", "fast"])),
            account=str(rng.choice(["A", "B"])),
            fees="0.5",
        )
        if symbol != "UNMARKED":
            books.mark(at + 10, float(rng.integers(900, 1100) / 100), symbol=symbol)
    return books


@pytest.fixture(scope="module")
def books() -> Books:
    return history()


@pytest.fixture(scope="module")
def client(books: Books, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path: Path = tmp_path_factory.mktemp("positions") / "store"
    with store_process(path), connect(f"chdb:///{path}") as store:
        create_tables(store)
        create_views(store)
        inputs = {
            topic.name: books.given[topic.name] for topic in (ACCOUNTS, CASH_MOVEMENTS, EXECUTIONS)
        }
        for name, rows in (inputs | books.rows).items():
            if rows:
                topic = TOPICS[name]
                columns = {field: [row[field] for row in rows] for field in rows[0]}
                decoded = [Decoded(Record(name, 0, 0, NOON, None, (), None), topic.batch(columns))]
                insert(store, topic, landed_table(topic, decoded), name)
        yield store


def asked(client: Client, statement: str, **parameters: Any) -> list[Row]:
    """Rows of a statement."""
    rows: list[Row] = client.query_arrow(statement, parameters=parameters).to_pylist()
    return rows


def newest(books: Books) -> dict[tuple[Any, ...], Row]:
    """The newest row of each position."""
    return {tuple(row[name] for name in KEY): row for row in books.rows["positions"]}


def profit(row: Row) -> Decimal | None:
    """Of a row of positions."""
    if row["unrealised"] is None:
        return None
    total: Decimal = row["realised"] + row["unrealised"] + row["dividends"] - row["fees"]
    return total


def test_positions_current_are_the_newest_rows(client: Client, books: Books) -> None:
    found = asked(client, "SELECT * FROM positions_current")
    expected = newest(books)
    assert len(found) == len(expected)
    for row in found:
        mine = expected[tuple(row[name] for name in KEY)]
        same = ("quantity", "average_cost", "cost", "mark", "value", "unrealised", "realised")
        assert {name: row[name] for name in (*same, "dividends", "fees", "fx_rate")} == {
            name: mine[name] for name in (*same, "dividends", "fees", "fx_rate")
        }
        assert row["profit"] == profit(mine)
        rate = Decimal("0.8") if row["account"] == "B" else Decimal(1)
        if row["value"] is None:
            assert row["value_in_account_currency"] is None
        else:
            assert row["value_in_account_currency"] == pytest.approx(float(row["value"] * rate))


@pytest.mark.parametrize(
    ("view", "key"),
    [
        ("positions_by_strategy", ("strategy", "symbol", "currency")),
        ("positions_firm", ("symbol", "currency")),
    ],
)
def test_sums_over_accounts_are_null_where_a_part_is_unknown(
    client: Client, books: Books, view: str, key: tuple[str, ...]
) -> None:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in newest(books).values():
        groups.setdefault(tuple(row[name] for name in key), []).append(row)
    found = asked(client, f"SELECT * FROM {view}")
    assert {tuple(row[name] for name in key) for row in found} == set(groups)
    for row in found:
        mine = groups[tuple(row[name] for name in key)]
        for name in ("quantity", "cost", "realised", "dividends", "fees"):
            assert row[name] == sum(one[name] for one in mine)
        assert row["accounts"] == len({one["account"] for one in mine})
        assert row["long_quantity"] == sum(max(one["quantity"], 0) for one in mine)
        for name in ("value", "unrealised"):
            values = [one[name] for one in mine]
            assert row[name] == (None if None in values else sum(values))
        profits = [profit(one) for one in mine]
        assert row["profit"] == (None if None in profits else sum(profits))
    unknown = {row["symbol"] for row in found if row["profit"] is None}
    assert unknown == {"UNMARKED"}


def test_accounts_and_balances_current_are_the_newest(client: Client, books: Books) -> None:
    found = asked(client, "SELECT * FROM accounts_current ORDER BY account")
    assert [(row["account"], row["currency"], row["halted"]) for row in found] == [
        ("A", "USD", False),
        ("B", "EUR", False),
    ]
    balances = asked(client, "SELECT * FROM balances_current")
    expected = {(row["account"], row["currency"]): row["balance"] for row in books.rows["balances"]}
    assert {(row["account"], row["currency"]): row["balance"] for row in balances} == expected
    assert len(expected) == 3


def test_daily_profits_add_up_to_what_there_is(client: Client, books: Books) -> None:
    found = asked(client, "SELECT * FROM profit_daily ORDER BY day")
    assert len({row["day"] for row in found}) >= 3
    for key, row in newest(books).items():
        mine = [one for one in found if tuple(one[name] for name in KEY) == key]
        assert mine[-1]["total"] == profit(row)
        if profit(row) is not None:
            assert sum(one["profit"] for one in mine) == profit(row)
        assert sum(one["total"] is None for one in mine) == (
            0 if row["symbol"] != "UNMARKED" else sum(one["quantity"] != 0 for one in mine)
        )


def test_a_statement_says_what_each_change_was_for(client: Client, books: Books) -> None:
    found = asked(
        client,
        named_query("account_statement").text,
        **named_query("account_statement").values({"account": "A"}),
    )
    mine = [row for row in books.rows["balances"] if row["account"] == "A"]
    assert [(row["change"], row["balance"]) for row in found] == [
        (row["change"], row["balance"]) for row in mine
    ]
    assert found[0]["what"] == "deposit"
    assert {row["what"] for row in found} >= {"deposit", "corporate_action"}
    assert any(row["what"].startswith(("buy ", "sell ")) for row in found)


def test_a_change_whose_execution_has_not_landed_yet_is_told_without_it(
    client: Client, books: Books
) -> None:
    """It was for `` 0  at 0`` with fees of 0; a cash movement that was missing had no kind, but an empty text."""
    rows = [
        dict(books.rows["balances"][0]) | {"account": "LATE", "sequence": at, "cause": cause}
        for at, cause in enumerate(("execution", "cash_movement"), start=1)
    ]
    batch = TOPICS["balances"].batch({name: [row[name] for row in rows] for name in rows[0]})
    record = Record("balances", 0, 0, NOON, None, (), None)
    landed = landed_table(TOPICS["balances"], [Decoded(record, batch)])
    insert(client, TOPICS["balances"], landed, "before the rest")
    query = named_query("account_statement")
    found = asked(client, query.text, **query.values({"account": "LATE"}))
    client.command("DELETE FROM balances WHERE account = 'LATE'")
    assert [(row["what"], row["fees"]) for row in found] == [
        ("execution", None),
        ("cash_movement", None),
    ]


def test_profit_and_loss_is_by_account_and_strategy(client: Client, books: Books) -> None:
    query = named_query("profit_and_loss")
    rows = asked(client, query.text, **query.values({"accounts": "A"}))
    assert {(row["account"], row["strategy"]) for row in rows} == {("A", ""), ("A", "fast")}
    everybody = asked(client, query.text, **query.values({}))
    assert sum(row["fees"] for row in everybody) == sum(
        row["fees"] for row in newest(books).values()
    )
