"""The pool at the mid, as the router weighs it against what is displayed."""

import math

import pytest

from flows.trading.interfaces import ONE, Touch
from flows.trading.market import Seen
from flows.trading.routing import Router
from tests.flows.trading_routing.quoting import CENT, Quotes, candidates, order, sent, touch


def pooled(bid: int, ask: int, venue: str = "N", *, middle: float = 40_000.0) -> Quotes:
    """A market in which much trades at the mid off exchanges."""
    venues = {"D": (90_000.0, middle), venue: (100_000.0, 0.0)}
    seen = Seen(minute=1.0, prints=2_000, volume=2e5, minutes=20, venues=venues)
    return Quotes([touch(venue, bid, ask, 500)], seen)


def test_the_pool_is_tried_first_where_the_mid_is_cheaper_and_the_rest_is_taken_at_once() -> None:
    decisions = Router("stock").route(order(400), pooled(9_997, 10_003))
    # (200 * 0.10 + 40,000 / 95) / (200 * 0.56 + 100,000 / 95), of the 500 that are displayed.
    hidden = int(500 * (20 + 40_000 / 95) / (112 + 100_000 / 95))
    assert sent(decisions) == [("POOL", hidden), ("XNYS", 400 - hidden)]
    assert all(one.immediate for one in decisions)
    pool, displayed = candidates(decisions[0])
    assert (pool["venue"], pool["price"], pool["hidden"]) == ("POOL", "100", str(hidden))
    assert pool["cost"] < displayed["cost"]
    # All that is sent is as much as is expected to hide: 1 - 1 / e of it is expected to be filled.
    assert pool["fill_probability"] == pytest.approx(1 - math.exp(-1))
    assert candidates(decisions[1]) == candidates(decisions[0])


def test_what_comes_back_from_the_pool_is_not_sent_there_again() -> None:
    decisions = Router("stock").route(order(100), pooled(9_997, 10_003), is_new=False)
    assert sent(decisions) == [("XNYS", 100)]


@pytest.mark.parametrize(
    ("quotes", "limit"),
    [
        (pooled(9_997, 10_003, middle=0.0), None),
        (pooled(10_000, 10_000), None),
        (pooled(9_997, 10_003), 10_000),
    ],
    ids=["nothing traded at the mid", "no spread", "it does not cross"],
)
def test_the_pool_is_not_tried(quotes: Quotes, limit: int | None) -> None:
    decisions = Router("stock").route(order(100, limit), quotes)
    assert {one.venue for one in decisions} == {"XNYS"}


def test_the_pool_is_weighed_and_left_where_the_rebate_for_taking_is_more_than_half_the_spread() -> (
    None
):
    """The evidence has it all the same."""
    fine = Touch("Y", 10_000 * CENT, 500 * ONE, 10_000 * CENT + CENT // 100, 500 * ONE, 0)
    quotes = pooled(9_997, 10_003, "Y")
    quotes = Quotes([fine], quotes.seen)
    decisions = Router("stock").route(order(100), quotes)
    assert sent(decisions) == [("BATY", 100)]
    pool, displayed = candidates(decisions[0])
    assert pool["venue"] == "POOL"
    assert pool["cost"] > displayed["cost"]
