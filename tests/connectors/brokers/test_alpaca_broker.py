"""Orders to Alpaca and reports from it, against a stand-in that speaks its protocol, killed and cut off."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.brokers import alpaca_rest
from connectors.brokers.alpaca import AlpacaAccount, AlpacaBroker
from connectors.brokers.errors import BrokerError
from connectors.log import Log, open_log
from connectors.records import Partitioner, decode_rows, rows_record
from connectors.topics import create_topics
from schemas.execution import BROKER_ORDERS, BROKER_REPORTS
from tests.connectors.brokers.alpaca_stand_in import KEY, SECRET, StandIn
from tests.flows.trading.executing import rows_of

PARTITIONS = 2


@pytest.fixture
def account() -> Iterator[StandIn]:
    with StandIn().running() as account:
        yield account


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, PARTITIONS)
        yield log


def ask(log: Log, action: str, name: str, **terms: Any) -> None:
    """Append a row of ``broker_orders``."""
    ask.sequence = getattr(ask, "sequence", 0) + 1
    row = {
        "symbol": "AIG",
        "ts_event": 1_381_152_600_000_000_000,
        "venue": "ALPACA",
        "account": "A",
        "sequence": ask.sequence,
        "action": action,
        "broker_order_id": name,
        "order_id": name.partition(".")[0],
        "side": "buy",
        "quantity": Decimal(100),
        "order_type": "limit",
        "limit_price": Decimal("10.50"),
        "time_in_force": "day",
    }
    batch = rows_of(BROKER_ORDERS, [row | terms])
    partition = Partitioner(PARTITIONS).of("AIG")
    log.append([rows_record(BROKER_ORDERS, partition, batch)])


def reports(log: Log) -> list[dict[str, Any]]:
    """All rows of ``broker_reports``."""
    found: list[dict[str, Any]] = []
    for partition in range(PARTITIONS):
        for record in log.read(BROKER_REPORTS.name, partition, 0).records:
            found += decode_rows(BROKER_REPORTS, record).to_pylist()
    return found


def told(log: Log) -> list[str]:
    """Report and order of each row."""
    return [f"{row['broker_order_id']} {row['report']}" for row in reports(log)]


def wait_for(log: Log, condition: Callable[[], bool]) -> None:
    """Until something is so in the log; looked at after each append to ``broker_reports``."""
    for _ in range(100):
        where = {
            (BROKER_REPORTS.name, at): log.end(BROKER_REPORTS.name, at) for at in range(PARTITIONS)
        }
        if condition():
            return
        log.wait(where, 0.1)
    raise AssertionError(f"it did not come to it: {told(log)}")


@contextmanager
def working(log: Log, account: StandIn) -> Iterator[None]:
    """The program in a thread."""
    stop = threading.Event()
    where = AlpacaAccount(url=account.url, stream_url=account.stream_url, key=KEY, secret=SECRET)
    broker = AlpacaBroker(log, where, stop, lambda *_, **__: None, seed=7)
    thread = threading.Thread(target=broker.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_an_order_is_sent_and_its_fills_are_reported(log: Log, account: StandIn) -> None:
    ask(log, "new", "o.1")
    ask(log, "new", "else", venue="OTHER")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
        account.fill("o.1", "40", "10.48")
        account.fill("o.1", "60", "10.50")
        wait_for(log, lambda: len(told(log)) == 3)
    sent = account.by_name["o.1"]
    assert (sent["symbol"], sent["side"], sent["type"], sent["time_in_force"]) == (
        "AIG",
        "buy",
        "limit",
        "day",
    )
    assert (sent["qty"], sent["limit_price"]) == ("100", "10.5")
    assert list(account.by_name) == ["o.1"]
    fills = [row for row in reports(log) if row["report"] == "filled"]
    assert [(row["quantity"], row["price"]) for row in fills] == [
        (Decimal(40), Decimal("10.48")),
        (Decimal(60), Decimal("10.50")),
    ]
    assert len({row["report_id"] for row in reports(log)}) == 3


@pytest.mark.parametrize(
    ("terms", "sent"),
    [
        ({"side": "sell_short", "order_type": "market", "limit_price": None}, ("sell", "market")),
        ({"time_in_force": "at_open"}, ("opg",)),
        ({"time_in_force": "at_close"}, ("cls",)),
        ({"time_in_force": "gtd"}, ("gtc",)),
        ({"quantity": Decimal("0.25")}, ("0.25",)),
    ],
)
def test_terms_are_said_in_alpacas_words(
    log: Log, account: StandIn, terms: dict[str, Any], sent: tuple[str, ...]
) -> None:
    ask(log, "new", "o.1", **terms)
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
    assert set(sent) <= {str(value) for value in account.by_name["o.1"].values()}


def test_a_refusal_is_reported_in_the_brokers_words(log: Log, account: StandIn) -> None:
    account.refuses = "insufficient buying power"
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 rejected"])
    assert reports(log)[0]["reason"] == "insufficient buying power"


def test_it_waits_as_long_as_it_is_asked_to_and_through_faults(log: Log, account: StandIn) -> None:
    account.faults = [(429, {"Retry-After": "1"}), (503, {}), (429, {})]
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
    assert [method for method, _, _ in account.asked] == ["POST"] * 4
    assert len(account.orders) == 1


def test_an_order_is_cancelled_and_a_cancel_that_is_too_late_refused(
    log: Log, account: StandIn
) -> None:
    ask(log, "new", "a.1")
    ask(log, "cancel", "a.1")
    ask(log, "new", "b.1")
    with working(log, account):
        wait_for(log, lambda: len(told(log)) == 3)
        account.by_name["b.1"]["status"] = "pending_cancel"
        ask(log, "cancel", "b.1")
        wait_for(log, lambda: len(told(log)) == 4)
    assert sorted(told(log)) == [
        "a.1 accepted",
        "a.1 cancelled",
        "b.1 accepted",
        "b.1 cancel_rejected",
    ]
    assert reports(log)[-1]["reason"] == "order is already pending_cancel"


def test_a_replaced_order_goes_on_under_its_name(log: Log, account: StandIn) -> None:
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
        terms = {"quantity": Decimal(70), "limit_price": Decimal("10.60"), "time_in_force": "gtd"}
        ask(log, "replace", "o.1", **terms)
        wait_for(log, lambda: told(log)[1:] == ["o.1 replaced"])
        [other] = [name for name in account.by_name if name != "o.1"]
        account.fill(other, "70", "10.55")
        wait_for(log, lambda: told(log)[2:] == ["o.1 filled"])
    assert other.startswith("o.1~")
    sent = account.by_name[other]
    assert (sent["qty"], sent["limit_price"], sent["time_in_force"]) == ("70", "10.6", "gtc")


@pytest.mark.parametrize(
    ("status", "report"),
    [("expired", "expired"), ("rejected", "rejected"), ("canceled", "cancelled")],
)
def test_an_order_that_ends_at_the_broker_is_reported(
    log: Log, account: StandIn, status: str, report: str
) -> None:
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
        account.end("o.1", status)
        wait_for(log, lambda: told(log)[1:] == [f"o.1 {report}"])


def test_what_the_stream_missed_is_asked_for_and_nothing_is_told_twice(
    log: Log, account: StandIn
) -> None:
    ask(log, "new", "o.1")
    ask(log, "new", "p.1")
    with working(log, account):
        wait_for(log, lambda: len(told(log)) == 2)
        account.fill("o.1", "10", "10.40")
        wait_for(log, lambda: len(told(log)) == 3)
        account.cut()
        account.fill("o.1", "20", "10.41")
        account.fill("p.1", "100", "10.42")
        account.end("o.1", "canceled")
        account.wait_for(lambda: bool(account.connections))
        wait_for(log, lambda: len(told(log)) == 6)
    fills = [row for row in reports(log) if row["report"] == "filled"]
    assert [(row["broker_order_id"], row["quantity"]) for row in fills] == [
        ("o.1", 10),
        ("o.1", 20),
        ("p.1", 100),
    ]
    assert told(log)[-1] == "o.1 cancelled"


@pytest.mark.parametrize("missed", [False, True])
def test_a_fill_that_is_told_after_the_orders_end_is_reported(
    log: Log, account: StandIn, *, missed: bool
) -> None:
    """The market filled it while it was being cancelled; whether the program hears of it or asks for it."""
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
        account.fill("o.1", "10", "10.40")
        account.end("o.1", "canceled")
        wait_for(log, lambda: told(log)[1:] == ["o.1 filled", "o.1 cancelled"])
        if missed:
            account.cut()
        account.fill("o.1", "20", "10.41")
        wait_for(log, lambda: told(log)[3:] == ["o.1 filled"])
    with working(log, account):
        account.fill("o.1", "5", "10.42")
        wait_for(log, lambda: told(log)[4:] == ["o.1 filled"])
    assert [row["quantity"] for row in reports(log) if row["report"] == "filled"] == [10, 20, 5]


@pytest.mark.parametrize("ended", [False, True])
def test_a_fill_that_is_busted_or_corrected_is_told(
    log: Log, account: StandIn, *, ended: bool
) -> None:
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
        account.fill("o.1", "100" if ended else "40", "10.40")
        wait_for(log, lambda: told(log)[1:] == ["o.1 filled"])
        order = account.by_name["o.1"]
        for _ in range(2):
            account.tell(
                "trade_correct", order, execution_id="second", qty="40", price="10.38",
                previous_execution_id="first",
            )  # fmt: skip
            account.tell("trade_bust", order, execution_id="third", reason="TRADE_BUST")
        # What it has filled comes to the same quantity again: no repetition.
        order["filled_qty"] = "0"
        account.fill("o.1", "100" if ended else "40", "10.39")
        wait_for(log, lambda: len(told(log)) == 5)
    rows = reports(log)[2:]
    assert [row["report"] for row in rows] == ["fill_corrected", "fill_busted", "filled"]
    assert [(row["quantity"], row["price"]) for row in rows[:2]] == [
        (40, Decimal("10.38")),
        (None, None),
    ]
    assert rows[0]["reason"] == (
        "trade_correct: execution_id second, previous_execution_id first, qty 40, price 10.38"
    )
    assert rows[1]["reason"] == "trade_bust: execution_id third, reason TRADE_BUST"


def test_more_fills_than_a_page_are_all_found(
    log: Log, account: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alpaca_rest, "PAGE", 3)
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
    for _ in range(10):
        account.fill("o.1", "10", "10.40")
    with working(log, account):
        wait_for(log, lambda: len(told(log)) == 11)


def test_orders_of_others_in_the_account_are_left_alone(log: Log, account: StandIn) -> None:
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
        account.new({"client_order_id": "by hand", "qty": "5"})
        account.fill("by hand", "5", "1.00")
        account.fill("o.1", "100", "10.40")
        wait_for(log, lambda: told(log)[1:] == ["o.1 filled"])


def test_a_wrong_key_is_an_error_that_says_what_to_do(log: Log, account: StandIn) -> None:
    where = AlpacaAccount(
        url=account.url, stream_url=account.stream_url, key="wrong", secret=SECRET
    )
    broker = AlpacaBroker(log, where, threading.Event(), lambda *_, **__: None, seed=7)
    with pytest.raises(BrokerError, match="look at alpaca_key and alpaca_secret"):
        broker.run()


def program(log: Log, account: StandIn) -> subprocess.Popen[bytes]:
    """`tapeflow broker alpaca` as a process of its own."""
    environment = os.environ | {
        "TAPEFLOW_LOG": log.url,
        "TAPEFLOW_PARTITIONS": str(PARTITIONS),
        "TAPEFLOW_CREDENTIALS": json.dumps({"alpaca_key": KEY, "alpaca_secret": SECRET}),
    }
    verb = ["broker", "alpaca", "--url", account.url, "--stream-url", account.stream_url]
    code = f"import sys; sys.argv = ['tapeflow', *{verb!r}]; from serving.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def test_killed_before_it_hears_the_answer_it_orders_no_second_time(
    log: Log, account: StandIn
) -> None:
    running: list[subprocess.Popen[bytes]] = []
    account.on_order = lambda: running[0].kill() or running[0].wait(10)
    ask(log, "new", "o.1")
    running.append(program(log, account))
    assert running[0].wait(60) == -signal.SIGKILL
    assert told(log) == []
    # What the market does while nobody listens is not missed either.
    account.fill("o.1", "30", "10.45")
    account.on_order = lambda: None
    again = program(log, account)
    try:
        wait_for_long(log, lambda: len(told(log)) == 2)
        account.fill("o.1", "70", "10.46")
        wait_for_long(log, lambda: len(told(log)) == 3)
    finally:
        again.terminate()
        assert again.wait(20) == 0
    assert told(log) == ["o.1 accepted", "o.1 filled", "o.1 filled"]
    assert [row["quantity"] for row in reports(log)][1:] == [30, 70]
    assert len(account.orders) == 1
    assert [method for method, _, _ in account.asked].count("POST") == 2


def test_killed_after_a_replacement_it_asks_for_no_second(log: Log, account: StandIn) -> None:
    ask(log, "new", "o.1")
    with working(log, account):
        wait_for(log, lambda: told(log) == ["o.1 accepted"])
    ask(log, "replace", "o.1", quantity=Decimal(70))
    running: list[subprocess.Popen[bytes]] = []
    answer = account.answer

    def kill_after_patch(method: str, path: str, body: Any) -> Any:
        found = answer(method, path, body)
        if method == "PATCH":
            running[0].kill()
            running[0].wait(10)
        return found

    account.answer = kill_after_patch
    running.append(program(log, account))
    assert running[0].wait(60) == -signal.SIGKILL
    account.answer = answer
    with working(log, account):
        wait_for(log, lambda: told(log)[1:] == ["o.1 replaced"])
    assert [method for method, _, _ in account.asked].count("PATCH") == 1
    assert len(account.orders) == 2


def wait_for_long(log: Log, condition: Callable[[], bool]) -> None:
    """As `wait_for`, for a program that has to start first."""
    for _ in range(6):
        try:
            wait_for(log, condition)
        except AssertionError:
            continue
        return
    wait_for(log, condition)
