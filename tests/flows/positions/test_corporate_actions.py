"""Corporate actions in cases that can be reckoned by hand."""

from decimal import Decimal

from tests.flows.positions.books import NOON, SECOND, Books, told

D = Decimal


def test_a_split_holds_from_its_time_on_and_takes_the_mark_along() -> None:
    books = Books()
    books.act("split", 10, numerator="3", denominator="2")
    books.mark(0, 30.0)
    books.fill("buy", "5", "30", 1)
    books.fill("buy", "10", "33", 2)
    books.mark(9, 33.0)
    assert books.last()["quantity"] == 15
    books.mark(10, 400.0, symbol="SPY")
    row = books.last()
    assert row["cause"] == "corporate_action"
    assert told(row, "quantity", "cost", "mark", "value", "average_cost") == (
        "22.5",
        "480",
        "22",
        "495",
        "21.3333333333",
    )
    books.fill("sell", "7.5", "22", 11)
    assert told(books.rows["lot_closings"][0], "cost", "realised") == ("150", "15")


def test_a_fill_of_before_a_split_that_is_told_after_it_is_of_the_old_shares() -> None:
    books = Books()
    books.act("split", 10, numerator="2", denominator="1")
    books.fill("buy", "10", "30", 1)
    books.mark(11, 15.0)
    books.fill("buy", "10", "32", 9)
    row = books.last()
    assert told(row, "quantity", "cost") == ("40", "620")
    assert row["ts_event"].value == NOON + 11 * SECOND
    books.fill("buy", "10", "16", 12)
    assert books.last()["quantity"] == 50
    assert books.balance() == D(-780)


def test_a_dividend_goes_to_the_long_and_is_owed_by_the_short() -> None:
    books = Books()
    books.fill("buy", "33", "10", account="long", strategy="s")
    books.fill("sell_short", "50", "10", account="short")
    books.act("dividend", 5, amount="0.125")
    books.mark(5, 10.0)
    assert books.balance(account="long") == D("-330") + D("4.12")
    assert books.balance(account="short") == D("500") - D("6.25")
    assert told(books.last(account="long", strategy="s"), "dividends", "realised") == ("4.12", "0")
    assert told(books.last(account="short"), "dividends") == ("-6.25",)
    # One of another currency is cash of that currency.
    books.act("dividend", 6, amount="0.125", currency="EUR")
    books.mark(6, 10.0)
    assert books.balance("EUR", account="long") == D("4.12")
    assert told(books.last(account="long", strategy="s"), "dividends") == ("4.12",)


def test_a_symbol_change_moves_lots_mark_and_cost() -> None:
    books = Books()
    books.fill("buy", "10", "30", symbol="OLD")
    books.mark(1, 31.0, symbol="OLD")
    books.act("symbol_change", 5, symbol="OLD", new_symbol="NEW")
    books.mark(5, 1.0, symbol="SPY")
    assert told(books.last("OLD"), "quantity", "cost") == ("0", "0")
    assert told(books.last("NEW"), "quantity", "cost", "value") == ("10", "300", "310")
    books.fill("sell", "10", "32", 6, symbol="NEW")
    assert books.last("NEW")["realised"] == 20
    assert books.rows["lot_closings"][0]["lot_id"] == "x1"


def test_a_spin_off_takes_its_share_of_the_cost_along() -> None:
    books = Books()
    books.fill("buy", "7", "10")
    books.fill("buy", "5", "11", 1)
    books.act("spin_off", 5, numerator="1", denominator="4", new_symbol="KID", cost_share="0.3333")
    books.mark(5, 9.0)
    assert told(books.last("KID"), "quantity", "cost") == ("3", "41.66")
    assert told(books.last(), "quantity", "cost") == ("12", "83.34")


def test_what_is_spun_off_into_a_position_of_the_other_side_closes_it() -> None:
    books = Books()
    books.fill("buy", "10", "10")
    books.fill("sell_short", "4", "3", symbol="KID")
    name = books.act(
        "spin_off", 5, numerator="1", denominator="2", new_symbol="KID", cost_share="0.2"
    )
    books.mark(5, 9.0)
    (closing,) = books.rows["lot_closings"]
    assert closing["execution_id"] == name
    # A fifth of 100 is the cost of five; four of them cover a sale at 12.
    assert told(closing, "quantity", "cost", "proceeds", "realised") == ("-4", "-12", "-16", "-4")
    assert told(books.last("KID"), "quantity", "cost", "realised") == ("1", "4", "-4")


def test_an_action_that_comes_late_holds_for_what_is_held_and_says_so() -> None:
    books = Books()
    books.fill("buy", "10", "10", 8)
    books.act("split", 5, numerator="2", denominator="1")
    assert books.last()["quantity"] == 20
    assert books.faults() == ["late_action"]


def test_an_action_that_nothing_can_be_made_of_is_told_to_who_holds_the_symbol() -> None:
    books = Books()
    books.fill("buy", "10", "10")
    books.act("split", 1, numerator="2")
    books.act("symbol_change", 2, new_symbol="IBM")
    books.act("split", 3, numerator="0.0000000001", denominator="1000000")
    books.act("dividend", 4, amount="9999999999999999999999999999")
    books.act("split", 5, symbol="NOBODY", numerator="2")
    books.mark(9, 1.0)
    assert books.faults() == [
        "incomplete_action",
        "incomplete_action",
        "nothing_left",
        "too_large",
    ]
    assert books.last()["quantity"] == 10
