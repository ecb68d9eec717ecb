"""What another venue's quote does to an order that rests (Rules 610(d) and 611 of Regulation NMS)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flows.trading.executing import Trader


def resting(ahead: int = 300) -> Trader:
    """An order to buy 100 at 10.00 at XNYS, which displays so much there."""
    trader = Trader()
    trader.at(1).quote(10.00, ahead, 10.02, 200, "N")
    trader.quote(9.99, 100, 10.02, 200, "Q")
    trader.order(limit_price="10.00", venue="N")
    # The order has reached its venue.
    trader.at(1.5).quote(9.99, 200, 10.02, 200, "Q")
    assert trader.fills == []
    return trader


def test_an_away_quote_through_its_price_fills_it_at_its_own_price() -> None:
    """Its venue quotes nothing new: the offer at Nasdaq could not have been displayed before it had met our bid."""
    trader = resting()
    trader.at(2).quote(9.98, 100, 9.99, 60, "Q")
    assert trader.fills == []  # the bid of XNYS stands above it: the market is crossed
    trader.at(3).quote(9.98, 300, 10.02, 200, "N")
    assert trader.fills == [("o", "60", "10", "added")]


def test_of_an_away_quote_at_its_price_those_ahead_have_their_part_first() -> None:
    trader = resting()
    trader.at(2).quote(9.99, 100, 10.00, 340, "Q")
    assert trader.fills == [("o", "40", "10", "added")]


def test_an_away_quote_that_those_ahead_take_up_fills_nothing() -> None:
    trader = resting()
    trader.at(2).quote(9.99, 100, 10.00, 300, "Q")
    assert trader.fills == []


def test_a_quote_of_its_own_venue_at_its_price_has_passed_those_ahead() -> None:
    """No book is locked in itself: who stood ahead is gone."""
    trader = resting()
    trader.at(2).quote(9.98, 100, 10.00, 70, "N")
    assert trader.fills == [("o", "70", "10", "added")]


def test_an_away_quote_away_from_its_price_fills_nothing() -> None:
    trader = resting(0)
    trader.at(2).quote(9.99, 100, 10.01, 500, "Q")
    assert trader.fills == []


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("NQPK"),
            st.integers(996, 999),
            st.integers(998, 1003),
            st.integers(1, 9),
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.tuples(st.sampled_from("NQ"), st.integers(1, 400)), min_size=1, max_size=4),
)
def test_away_quotes_fill_no_more_than_they_display(
    quotes: list[tuple[str, int, int, int]], orders: list[tuple[str, int]]
) -> None:
    """Whatever orders of ours rest where: each row's displayed size fills at most once, at our price or better."""
    trader = Trader()
    for venue in "NQPK":
        trader.at(1).quote(9.90, 100, 10.30, 100, venue)
    for at, (venue, quantity) in enumerate(orders):
        trader.order(f"o{at}", limit_price="10.00", quantity=quantity, venue=venue)
    for at, (venue, bid, ask, size) in enumerate(quotes):
        fills = trader.at(2 + at).quote(bid / 100, 100, ask / 100, 100 * size, venue)
        newest = {one[0]: one for one in quotes[: at + 1]}
        shown = sum(100 * size for _, _, ask, size in newest.values() if ask <= 1000)
        assert sum(fill["quantity"] for fill in fills) <= shown
        assert all(fill["price"] == 10 for fill in fills)
    for at, (_, ordered) in enumerate(orders):
        assert sum(int(fill[1]) for fill in trader.fills if fill[0] == f"o{at}") <= ordered
