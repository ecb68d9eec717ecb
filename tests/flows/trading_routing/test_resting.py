"""Where an order that does not cross goes to rest."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.trading.interfaces import Touch
from flows.trading.market import Seen
from flows.trading.routing import Router, venue_model
from tests.flows.trading_routing.quoting import (
    LETTERS,
    TOUCHES,
    Quotes,
    candidates,
    order,
    sent,
    touch,
    venue_of,
)


def test_an_order_rests_where_queue_and_volume_favour_it() -> None:
    crowded = Quotes([touch("Q", 10_000, 10_002, 50_000), touch("K", 9_999, 10_002)])
    (decision,) = Router("stock").route(order(100, 10_000), crowded)
    assert sent([decision]) == [("EDGX", 100)]
    assert not decision.immediate
    empty = Quotes([touch("Q", 9_999, 10_002), touch("K", 9_999, 10_002)])
    assert sent(Router("stock").route(order(100, 10_000), empty)) == [("XNAS", 100)]


_VENUES_SEEN = st.dictionaries(
    st.sampled_from([*LETTERS, "SIM", "D"]),
    st.tuples(st.floats(1, 1e6), st.floats(0, 1)).map(lambda one: (one[0], one[0] * one[1])),
    max_size=6,
)


@given(TOUCHES, _VENUES_SEEN, st.integers(9_985, 9_999))
def test_an_order_rests_where_trades_were_seen_if_they_were_seen_anywhere_that_quotes(
    touches: list[Touch], venues: dict[str, tuple[float, float]], limit: int
) -> None:
    quotes = Quotes(touches, Seen(minute=1.0, prints=1_000, volume=1e4, minutes=9, venues=venues))
    (decision,) = Router("stock").route(order(100, limit), quotes)
    traded = {venue_of(code) for code in venues if venue_model(code).is_displayed}
    quoting = {venue_of(one.venue) for one in touches}
    if traded & quoting:
        assert decision.venue in traded & quoting
    rows = candidates(decision)
    assert [row["traded"] > 0 for row in rows] == sorted(
        (row["traded"] > 0 for row in rows), reverse=True
    )


def test_an_order_does_not_rest_where_next_to_nothing_is_traded() -> None:
    """XCIS pays who takes there; what of that, where an order is never filled: IBM, 7 October 2013."""
    quotes = [touch("C", 9_999, 10_002), touch("N", 10_000, 10_002, 900)]
    (decision,) = Router("stock").route(order(100, 10_000), Quotes(quotes))
    assert decision.venue == "XNYS"
    venues = {"N": (140_000.0, 4_000.0), "C": (2_400.0, 200.0)}
    seen = Seen(minute=1.0, prints=2_000, volume=2e5, minutes=20, venues=venues)
    (decision,) = Router("stock").route(order(100, 10_000), Quotes(quotes, seen))
    assert decision.venue == "XNYS"


def test_what_a_venue_is_seen_to_trade_outweighs_what_was_assumed_of_it() -> None:
    quotes = [touch("Q", 9_999, 10_002), touch("K", 9_999, 10_002)]
    assert sent(Router("stock").route(order(100, 10_000), Quotes(quotes))) == [("XNAS", 100)]
    seen = Seen(
        minute=1.0, prints=3_000, volume=2e5, minutes=20, venues={"Q": (1e4, 0), "K": (9e5, 0)}
    )
    router = Router("stock")
    assert sent(router.route(order(100, 10_000), Quotes(quotes, seen))) == [("EDGX", 100)]
    # The next minute has seen something else: nothing is remembered beyond it.
    later = Seen(
        minute=2.0, prints=3_000, volume=2e5, minutes=20, venues={"Q": (9e5, 0), "K": (1e4, 0)}
    )
    assert sent(router.route(order(100, 10_000), Quotes(quotes, later))) == [("XNAS", 100)]


def test_a_price_far_behind_the_best_is_not_expected_to_be_filled() -> None:
    quotes = Quotes([touch("N", 10_000, 10_002, 0)])
    rows = [
        candidates(Router("stock").route(order(100, limit), quotes)[0])[0]
        for limit in (10_000, 9_995, 5_000)
    ]
    chances = [row["fill_probability"] for row in rows]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > chances[1] > 0
    assert chances[2] == 0
    # By hand: five cents behind, 0.01 percent per square root of a second, a minute.
    reach = math.erfc(0.05 / (100 * 1e-4 * math.sqrt(2 * 60)))
    assert chances[1] / chances[0] == pytest.approx(reach, rel=1e-3)
