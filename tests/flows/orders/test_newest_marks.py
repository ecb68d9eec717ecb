"""What the order system knows of prices does not hang on how marks are cut into batches."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.instruments import INSTRUMENTS
from schemas.positions import MARKS
from tests.flows.orders.order_system import MARKET_NS, OrderSystem, Row

_PRICES = st.one_of(st.none(), st.sampled_from([10.004, 10.017, 11.03, 12.5]))
_MARKS = st.lists(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(["AIG", "IBM"]),
            "bid": _PRICES,
            "ask": _PRICES,
            "price": _PRICES,
            "ts_event": st.integers(MARKET_NS, MARKET_NS + 20),
        }
    ),
    min_size=1,
    max_size=12,
)


def known(marks: list[Row], cuts: list[int]) -> list[Any]:
    desk = OrderSystem()
    desk.feed(
        INSTRUMENTS,
        {"symbol": "IBM"},
        # From the middle of the marks on another tick.
        {"symbol": "AIG", "ts_event": MARKET_NS + 10, "tick_size": 0.05},
    )
    edges = [0, *sorted(cuts), len(marks)]
    for first, end in pairwise(edges):
        if marks[first:end]:
            desk.feed(MARKS, *marks[first:end])
    market = desk.flow._market
    quoted = [market.symbol(name) for name in ("AIG", "IBM")]
    return [market.now, *[(one.bid, one.ask, one.price, one.now) for one in quoted]]


@settings(max_examples=150)
@given(_MARKS, st.lists(st.integers(0, 12), max_size=3))
def test_prices_are_the_same_however_marks_are_cut(marks: list[Row], cuts: list[int]) -> None:
    at_once = known(marks, [])
    assert known(marks, [min(cut, len(marks)) for cut in cuts]) == at_once
    assert known(marks, list(range(len(marks)))) == at_once


def test_a_price_counts_whose_symbol_has_a_later_mark_without_one() -> None:
    first = {"symbol": "AIG", "price": 60.0, "ts_event": MARKET_NS + 1}
    later = {"symbol": "AIG", "bid": 59.0, "ts_event": MARKET_NS + 2}
    _, (bid, ask, price, _), _ = known([first, later], [])
    assert (bid, ask, price) == (59 * 10**10, None, 60 * 10**10)
