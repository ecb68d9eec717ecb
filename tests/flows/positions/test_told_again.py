"""What the ledger is told more than once: nothing is booked twice, and nothing is dropped without a word."""

from decimal import Decimal

import pytest

from flows.positions import Positions, PositionsParams
from flows.snapshot import pack, unpack
from tests.flows.positions.books import Books

D = Decimal


def test_what_was_seen_already_changes_nothing() -> None:
    books = Books()
    books.cash("100", name="m")
    books.fill("buy", "1", "10", name="x")
    books.act("dividend", 5, amount="1", name="a")
    before = {name: len(rows) for name, rows in books.rows.items()}
    books.cash("100", name="m")
    books.fill("sell", "7", "11", 1, name="x")
    books.act("split", 2, numerator="2", denominator="1", name="a")
    told_now = {name: len(rows) for name, rows in books.rows.items()}
    assert told_now == before | {"ledger_faults": before["ledger_faults"] + 2}
    books.mark(6, 10.0)
    assert books.balance() == D(91)
    assert books.last()["quantity"] == 1
    # Another account's fill of the same name is another fill.
    books.fill("buy", "1", "10", 7, name="x", account="B")
    assert books.last(account="B")["quantity"] == 1


@pytest.mark.parametrize("is_resumed", [False, True])
def test_what_is_told_again_is_a_fault_and_another_one_where_it_says_something_else(
    *,
    is_resumed: bool,
) -> None:
    """A fill under an identifier that another had was dropped without a word."""
    books = Books()
    books.cash("100", name="m")
    books.fill("buy", "1.5", "10", name="x")
    if is_resumed:
        books.resume()
    books.cash("100", name="m")
    books.fill("buy", "1.5", "10", name="x")
    books.cash("101", name="m")
    books.fill("buy", "1.5", "10", name="x", fees="0.01")
    assert books.faults() == ["repeated", "repeated", "conflicting", "conflicting"]
    faults = books.rows["ledger_faults"]
    assert [(row["account"], row["cause_id"], row["symbol"]) for row in faults] == [
        ("A", "m", None),
        ("A", "x", "IBM"),
    ] * 2
    assert faults[2]["reason"].endswith("which stands; now it says: 101 USD")
    assert faults[3]["reason"].endswith("which stands; now it says: buy 1.5 IBM at 10 USD")
    assert books.balance() == D(85)


def test_a_snapshot_that_does_not_say_what_was_told_takes_what_comes_again_for_the_same() -> None:
    books = Books()
    books.fill("buy", "1", "10", name="x")
    head, arrays = unpack(books.flow.snapshot(), "positions", 1)
    del head["said"]
    books.flow = Positions(PositionsParams(), pack("positions", 1, head, arrays))
    books.fill("buy", "2", "10", name="x")
    assert books.faults() == ["repeated"]
    assert books.last()["quantity"] == 1


def test_identifiers_are_forgotten_from_the_oldest_on() -> None:
    books = Books(max_seen=2)
    for name in ("x", "y", "z", "x"):
        books.fill("buy", "1", "10", name=name)
    assert books.last()["quantity"] == 4
    books.fill("buy", "1", "10", name="x")
    assert books.last()["quantity"] == 4
