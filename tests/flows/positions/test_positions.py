"""Positions in cases that can be reckoned by hand."""

from decimal import Decimal
from functools import partial

import pytest

from flows.flow import FlowError
from flows.positions import Positions, PositionsParams
from tests.flows.positions.books import NOON, SECOND, Books, told

D = Decimal


def test_a_round_trip_brings_its_profit_less_fees_and_no_more() -> None:
    books = Books()
    books.cash("10000")
    books.fill("buy", "100", "10.005", fees="1")
    assert told(books.last(), "quantity", "cost", "average_cost", "fees") == (
        "100",
        "1000.5",
        "10.005",
        "1",
    )
    books.fill("sell", "100", "10.105", 1, fees="0.5")
    row = books.last()
    assert told(row, "quantity", "cost", "realised", "fees", "value") == (
        "0",
        "0",
        "10",
        "1.5",
        "0",
    )
    assert row["average_cost"] is None
    assert books.balance() == D("10008.5")
    assert [row["cause"] for row in books.rows["balances"]] == [
        "cash_movement",
        "execution",
        "execution",
    ]


def test_a_consideration_is_rounded_half_even_to_the_minor_unit_of_its_currency() -> None:
    books = Books()
    books.fill("buy", "1", "0.125")
    books.fill("buy", "1", "0.135")
    books.fill("buy", "1", "1.5", currency="JPY")
    books.fill("buy", "1", "2.5", currency="JPY")
    books.fill("buy", "1", "0.0005", currency="BHD")
    changes = [row["change"] for row in books.rows["balances"]]
    assert changes == [D("-0.12"), D("-0.14"), D(-2), D(-2), D("0")]


def test_a_fill_that_crosses_to_the_other_side_closes_one_and_opens_the_other() -> None:
    books = Books()
    books.fill("buy", "100", "10")
    name = books.fill("sell_short", "150", "12", 1)
    assert told(books.last(), "quantity", "cost", "realised", "average_cost") == (
        "-50",
        "-600",
        "200",
        "12",
    )
    (closing,) = books.rows["lot_closings"]
    assert told(closing, "quantity", "cost", "proceeds", "realised") == (
        "100",
        "1000",
        "1200",
        "200",
    )
    books.fill("buy", "50", "11", 2)
    closing = books.rows["lot_closings"][-1]
    assert closing["lot_id"] == name
    assert told(closing, "quantity", "cost", "proceeds", "realised") == (
        "-50",
        "-600",
        "-550",
        "50",
    )
    assert told(books.last(), "quantity", "cost", "realised") == ("0", "0", "250")


@pytest.mark.parametrize(
    ("method", "lots", "closed"),
    [
        ("fifo", None, [("x1", "fifo"), ("x2", "fifo")]),
        ("lifo", None, [("x4", "lifo"), ("x3", "lifo")]),
        ("highest_cost", None, [("x2", "highest_cost"), ("x3", "highest_cost")]),
        ("specific", "x3, x1", [("x3", "specific"), ("x1", "specific")]),
        ("specific", "x4", [("x4", "specific"), ("x1", "fifo")]),
        (None, None, [("x1", "fifo"), ("x2", "fifo")]),
    ],
)
def test_a_sale_closes_the_lots_that_its_method_says(
    method: str | None, lots: str | None, closed: list[tuple[str, str]]
) -> None:
    books = Books()
    for at, price in enumerate(("10", "14", "12", "11")):
        books.fill("buy", "100", price, at)
    books.fill("sell", "150", "13", 9, lot_method=method, lots=lots)
    rows = books.rows["lot_closings"]
    assert [(row["lot_id"], row["method"]) for row in rows] == closed
    assert [row["quantity"] for row in rows] == [D(100), D(50)]
    assert books.last()["quantity"] == D(250)


def test_of_short_lots_highest_cost_closes_first_what_was_sold_cheapest() -> None:
    books = Books()
    for at, price in enumerate(("10", "9", "11")):
        books.fill("sell_short", "1", price, at)
    books.fill("buy", "1", "8", 5, lot_method="highest_cost")
    assert books.rows["lot_closings"][0]["lot_id"] == "x2"


def test_lots_that_nobody_has_are_told_and_the_oldest_close() -> None:
    books = Books()
    books.fill("buy", "10", "10")
    books.fill("sell", "5", "10", 1, lot_method="specific", lots="x1,nobody")
    books.fill("sell", "5", "10", 2, lot_method="specific", lots="gone")
    assert books.faults() == ["unknown_lot", "unknown_lot"]
    assert "nobody" in books.rows["ledger_faults"][0]["reason"]
    assert books.last()["quantity"] == 0


def test_marks_value_open_positions_at_most_once_an_interval() -> None:
    books = Books()
    books.fill("buy", "100", "10")
    for at in range(40):
        books.mark(0.1 * at, 10.0 + at)
    rows = [row for row in books.rows["positions"] if row["cause"] == "mark"]
    seconds = [(row["ts_event"].value - NOON) / SECOND for row in rows]
    assert seconds == pytest.approx([1.0, 2.0, 3.0])
    assert told(rows[0], "mark", "value", "unrealised") == ("20", "2000", "1000")
    # What was held back is told when market time has passed, by whichever symbol.
    books.mark(4.0, 1.0, symbol="SPY")
    assert told(books.last(), "mark", "value") == ("49", "4900")
    books.mark(9.0, 49.0)
    assert books.last()["ts_event"].value == NOON + 4 * SECOND


def test_a_flat_position_is_worth_nothing_and_marks_do_not_tell_it() -> None:
    books = Books()
    books.mark(0, 10.0)
    books.fill("buy", "1", "10", 1)
    books.fill("sell", "1", "12", 2)
    books.mark(9, 20.0)
    assert told(books.last(), "value", "unrealised", "realised") == ("0", "0", "2")
    assert books.last()["cause"] == "execution"


def test_more_than_can_be_written_is_refused_and_told() -> None:
    books = Books()
    books.fill("buy", "9999999999999999999999999999", "9999999999999999999999999999")
    books.cash("-9999999999999999999999999999")
    assert books.faults() == ["too_large", "too_large"]
    assert not books.rows["positions"]
    assert not books.rows["balances"]


def test_more_lots_than_are_kept_join_the_oldest_and_lose_nothing() -> None:
    books = Books(max_lots=2)
    for at in range(4):
        books.fill("buy", "10", str(10 + at), at)
    assert books.faults() == ["lots_joined", "lots_joined"]
    assert told(books.last(), "quantity", "cost") == ("40", "460")
    books.fill("sell", "30", "20", 9)
    assert told(books.rows["lot_closings"][0], "quantity", "cost") == ("30", "330")


def test_a_rate_of_exchange_comes_from_the_marks_of_pairs() -> None:
    books = Books()
    books.account("A", "USD")
    books.fill("buy", "10", "100", symbol="SAP", currency="EUR")
    assert books.last("SAP")["fx_rate"] is None
    books.mark(1, 1.25, symbol="EURUSD")
    books.mark(2, 110.0, symbol="SAP")
    assert told(books.last("SAP"), "value", "fx_rate") == ("1100", "1.25")
    books.account("A", "GBP")
    books.mark(5, 1.6, symbol="GBP/USD")
    books.mark(6, 111.0, symbol="SAP")
    assert told(books.last("SAP"), "fx_rate") == ("0.78125",)
    books.fill("buy", "1", "100", 7)
    assert told(books.last(), "fx_rate") == ("0.625",)


def test_a_rate_that_comes_late_is_told_of_what_lacked_it_flat_or_not() -> None:
    """What was sold before had no profit in the account's currency for ever, what was held none until its own next mark."""
    books = Books()
    books.account("A", "GBP")
    books.fill("buy", "10", "100", symbol="SAP", currency="EUR")
    books.fill("sell", "10", "110", 1, symbol="SAP", currency="EUR")
    books.fill("buy", "10", "100", 2, symbol="BMW", currency="EUR")
    books.fill("buy", "1", "5", 2, symbol="VOD", currency="GBP")
    books.mark(3, 1.25, symbol="EURUSD")
    count = len(books.rows["positions"])
    books.resume()
    # By way of the dollar.
    books.mark(4, 1.6, symbol="GBP/USD")
    told_now = books.rows["positions"][count:]
    assert [(one["symbol"], one["cause"]) for one in told_now] == [("SAP", "mark"), ("BMW", "mark")]
    assert told(books.last("SAP"), "quantity", "realised", "fx_rate") == ("0", "100", "0.78125")
    books.mark(5, 1.7, symbol="GBP/USD")
    assert len(books.rows["positions"]) == count + 2


def test_strategies_and_currencies_are_apart() -> None:
    books = Books()
    books.fill("buy", "10", "10", strategy="one")
    books.fill("sell_short", "10", "11", strategy="two")
    books.fill("buy", "10", "9", strategy="one", currency="EUR")
    assert [
        (row["strategy"], row["currency"], row["quantity"]) for row in books.rows["positions"]
    ] == [("one", "USD", 10), ("two", "USD", -10), ("one", "EUR", 10)]
    assert (books.balance(), books.balance("EUR")) == (10, -90)


def test_rows_are_numbered_from_one_in_each_account() -> None:
    books = Books()
    for at in range(3):
        books.cash("5", account="A")
        books.fill("buy", "2", "10", at, account="B")
    books.fill("sell", "3", "10", 5, account="B")
    for topic in ("positions", "balances", "lot_closings"):
        for account in ("A", "B"):
            mine = [row["sequence"] for row in books.rows[topic] if row["account"] == account]
            assert mine == list(range(1, len(mine) + 1))


@pytest.mark.parametrize(
    ("bound", "what"),
    [("max_accounts", "account 'B'"), ("max_positions", "'SPY'"), ("max_symbols", "'SPY'")],
)
def test_one_more_than_a_bound_allows_is_an_error_that_names_it(bound: str, what: str) -> None:
    books = Books(**{bound: 1})
    books.mark(0, 1.0)
    books.fill("buy", "1", "1")
    one_more = {
        "max_accounts": partial(books.fill, "buy", "1", "1", account="B"),
        "max_positions": partial(books.fill, "buy", "1", "1", symbol="SPY"),
        "max_symbols": partial(books.mark, 1, 1.0, symbol="SPY"),
    }
    with pytest.raises(FlowError, match=f"{what}.*{bound} = 1; raise it"):
        one_more[bound]()


def test_a_snapshot_goes_on_where_it_was_taken() -> None:
    books = Books()
    books.account()
    books.act("dividend", 60, amount="0.1")
    books.mark(0, 9.0)
    first = books.fill("buy", "10", "10")
    books.mark(0.5, 11.0)
    resumed = Books()
    resumed.flow = Positions(PositionsParams(), books.flow.snapshot())
    assert resumed.flow.snapshot() == books.flow.snapshot()
    for one in (books, resumed):
        one.mark(61, 12.0)
        one.fill("sell", "4", "12", 62, name="later")
        one.fill("sell", "4", "12", 63, name=first)
    count = {name: len(rows) for name, rows in resumed.rows.items()}
    assert {name: rows[-count[name] :] for name, rows in books.rows.items() if count[name]} == {
        name: rows for name, rows in resumed.rows.items() if rows
    }
    assert count == {"positions": 3, "lot_closings": 1, "balances": 2, "ledger_faults": 1}
