"""What holds of every routing decision, whatever the market."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.trading.interfaces import CONSOLIDATED, ONE, Decision, Market, Order, Touch
from flows.trading.market import NOTHING_SEEN, Seen
from flows.trading.routing import Router, venue_model
from flows.trading.routing.venues import EXCHANGES, MODELS

CENT = ONE // 100
LETTERS = "NPACMQBXZYKJUHLVWI"


class Quotes(Market):
    """Touches of venues, in the order in which a test gives them."""

    symbol = "IBM"
    now = 0
    tick = CENT
    lot = 100 * ONE
    last: int | None = None
    session = None
    is_tradable = True
    bid: int | None = None
    ask: int | None = None
    bid_size = ask_size = 0

    def __init__(self, touches: Sequence[Touch], seen: Seen = NOTHING_SEEN) -> None:
        self._touches = touches
        self._seen_so_far = seen
        self.bid = max((one.bid for one in touches if one.bid is not None), default=None)
        self.ask = min((one.ask for one in touches if one.ask is not None), default=None)

    @property
    def seen(self) -> Seen:
        return self._seen_so_far

    def touches(self) -> Sequence[Touch]:
        return self._touches

    def levels(self, side: str, venues: Sequence[str] = ()) -> list[tuple[int, int, str]]:
        found = [
            (one.ask, one.ask_size, one.venue)
            if side == "buy"
            else (one.bid, one.bid_size, one.venue)
            for one in self._touches
        ]
        return [(price, size, venue) for price, size, venue in found if price is not None and size]


def touch(venue: str, bid: int | None, ask: int | None, size: int = 100) -> Touch:
    return Touch(
        venue,
        None if bid is None else bid * CENT,
        0 if bid is None else size * ONE,
        None if ask is None else ask * CENT,
        0 if ask is None else size * ONE,
        0,
    )


def order(quantity: int, limit: int | None = None, **terms: Any) -> Order:
    values = {"side": "buy", "order_type": "market" if limit is None else "limit"} | terms
    return Order(
        order_id="a",
        account="A",
        symbol="IBM",
        quantity=quantity * ONE,
        time_in_force="day",
        limit_price=None if limit is None else limit * CENT,
        **values,
    )


def sent(decisions: list[Decision]) -> list[tuple[str, int]]:
    return [(one.venue, one.quantity // ONE) for one in decisions]


def candidates(decision: Decision) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(decision.candidates)
    return found


_TOUCHES = st.lists(
    st.builds(
        touch,
        st.sampled_from([*LETTERS, "SIM", "D"]),
        st.none() | st.integers(9_990, 10_000),
        st.none() | st.integers(10_000, 10_010),
        st.integers(1, 500),
    ),
    max_size=10,
    unique_by=lambda one: one.venue,
)
_ORDERS = st.builds(
    order,
    st.integers(1, 3_000),
    st.none() | st.integers(9_985, 10_015),
    side=st.sampled_from(["buy", "sell", "sell_short"]),
)


@settings(deadline=None)
@given(_TOUCHES, _ORDERS)
def test_parts_sum_to_the_quantity_and_are_above_zero(touches: list[Touch], one: Order) -> None:
    decisions = Router("stock").route(one, Quotes(touches))
    assert sum(part.quantity for part in decisions) == one.quantity
    assert all(part.quantity > 0 for part in decisions)


@settings(deadline=None)
@given(_TOUCHES, _ORDERS)
def test_no_displayed_quote_is_traded_through(touches: list[Touch], one: Order) -> None:
    """What is taken at once is never dearer than what is displayed and left; and nothing in reach is left."""
    market = Quotes(touches)
    taken = {
        part.venue: part.quantity for part in Router("stock").route(one, market) if part.immediate
    }
    sign = 1 if one.is_buy else -1
    displayed: dict[str, list[tuple[int, int]]] = {}
    for price, size, code in market.levels(one.side):
        if venue_model(code).is_displayed:
            # A venue that is not in the table is itself.
            name = code if code == "SIM" else venue_model(code).venue
            displayed.setdefault(name, []).append((sign * price, size))
    dearest, cheapest_left = None, None
    for venue, levels in displayed.items():
        left = taken.get(venue, 0)
        for price, size in sorted(levels):
            if left > 0:
                dearest = price if dearest is None else max(dearest, price)
            if left < size:
                cheapest_left = price if cheapest_left is None else min(cheapest_left, price)
            left = max(left - size, 0)
        assert left == 0
    if dearest is not None and cheapest_left is not None:
        assert dearest <= cheapest_left
    if one.limit_price is not None and dearest is not None:
        assert dearest <= sign * one.limit_price
    in_reach = sum(
        size
        for levels in displayed.values()
        for price, size in levels
        if one.limit_price is None or price <= sign * one.limit_price
    )
    assert sum(taken.values()) == min(in_reach, one.quantity)


@settings(deadline=None)
@given(_TOUCHES, _ORDERS, st.randoms(use_true_random=False))
def test_decisions_do_not_hang_on_the_order_of_quotes(
    touches: list[Touch], one: Order, shuffle: Any
) -> None:
    other = list(touches)
    shuffle.shuffle(other)
    assert Router("stock").route(one, Quotes(touches)) == Router("stock").route(one, Quotes(other))


@settings(deadline=None)
@given(_TOUCHES, _ORDERS)
def test_the_evidence_has_every_venue_once_a_price_and_adds_up(
    touches: list[Touch], one: Order
) -> None:
    for part in Router("stock").route(one, Quotes(touches)):
        found = candidates(part)
        places = [(row["venue"], row["price"]) for row in found]
        assert len(set(places)) == len(places)
        for row in found:
            terms = (row["price_cost"], row["fee"], row["delay_cost"], row["missed_cost"])
            assert row["cost"] == pytest.approx(sum(terms), abs=5e-9)
        if part.venue != CONSOLIDATED:
            assert part.venue in {row["venue"] for row in found}


def test_at_equal_price_the_cheapest_comes_first() -> None:
    """An inverted venue pays the taker, a maker-taker venue charges him three tenths of a cent."""
    quotes = Quotes(
        [touch("N", 9_999, 10_001), touch("Y", 9_999, 10_001), touch("B", 9_999, 10_001)]
    )
    decisions = Router("stock").route(order(300), quotes)
    assert sent(decisions) == [("BATY", 100), ("XBOS", 100), ("XNYS", 100)]
    costs = [row["cost"] for row in candidates(decisions[0])]
    assert costs == sorted(costs)
    assert [one.expected_cost for one in decisions] == pytest.approx(costs, abs=1e-8)


def test_a_better_price_comes_before_a_cheaper_fee() -> None:
    quotes = Quotes([touch("N", 9_998, 10_001), touch("Y", 9_998, 10_002)])
    assert sent(Router("stock").route(order(150), quotes)) == [("XNYS", 100), ("BATY", 50)]


def test_a_price_that_is_better_by_less_than_a_fee_is_not_traded_through() -> None:
    """The rule protects prices, not what is paid in all: a rebate does not make up for a worse one."""
    better = Touch("N", None, 0, 10_001 * CENT, 100 * ONE, 0)
    rebated = Touch("Y", None, 0, 10_001 * CENT + CENT // 100, 100 * ONE, 0)
    decisions = Router("stock").route(order(150), Quotes([rebated, better]))
    assert sent(decisions) == [("XNYS", 100), ("BATY", 50)]


def test_what_is_equal_in_all_goes_by_size_and_then_by_name() -> None:
    """Two exchanges of the past have the same model."""
    small, large = touch("I", None, 10_001, 100), touch("W", None, 10_001, 200)
    same = touch("W", None, 10_001, 100)
    for quotes in ([small, large], [large, small]):
        assert sent(Router("stock").route(order(250), Quotes(quotes)))[0] == ("XCBO", 200)
    for quotes in ([small, same], [same, small]):
        assert sent(Router("stock").route(order(50), Quotes(quotes))) == [("XCBO", 50)]
    renamed = [touch("I", None, 10_001, 300), same]
    assert sent(Router("stock").route(order(50), Quotes(renamed))) == [("XISX", 50)]


def test_the_fee_in_the_evidence_is_that_of_the_schedule() -> None:
    quotes = Quotes([touch("K", 9_999, 10_001), touch("Y", 9_999, 10_001)])
    fees = {
        row["venue"]: row["fee"] for row in candidates(Router("stock").route(order(1), quotes)[0])
    }
    assert fees == {"EDGX": 0.003, "BATY": -0.0002}


def test_expected_cost_is_half_the_spread_and_what_the_formulas_add() -> None:
    """By hand, at EDGX: 50 microseconds, half-spread of a cent, fee of 0.003."""
    quotes = Quotes([touch("K", 9_999, 10_001)])
    (row,) = candidates(Router("stock").route(order(1), quotes)[0])
    there = 2.718281828459045 ** -(50e-6 / 0.25)
    assert row["fill_probability"] == pytest.approx(there, abs=1e-9)
    assert row["price_cost"] == pytest.approx(0.01)
    assert row["delay_cost"] == pytest.approx(
        100.01 * 1e-4 * (50e-6 / (2 * 3.141592653589793)) ** 0.5, abs=1e-9
    )
    assert row["missed_cost"] == pytest.approx((1 - there) * (1 - 0.16) * 0.02, abs=1e-9)


def test_a_market_order_waits_with_what_is_not_displayed_where_most_was() -> None:
    quotes = Quotes([touch("N", 9_999, 10_001, 300), touch("Y", 9_999, 10_001)])
    decisions = Router("stock").route(order(1_000), quotes)
    assert sent(decisions) == [("BATY", 100), ("XNYS", 300), ("XNYS", 600)]
    assert [one.immediate for one in decisions] == [True, True, False]


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


@settings(deadline=None)
@given(_TOUCHES, _VENUES_SEEN, st.integers(9_985, 9_999))
def test_an_order_rests_where_trades_were_seen_if_they_were_seen_anywhere_that_quotes(
    touches: list[Touch], venues: dict[str, tuple[float, float]], limit: int
) -> None:
    quotes = Quotes(touches, Seen(minute=1.0, prints=1_000, volume=1e4, minutes=9, venues=venues))
    (decision,) = Router("stock").route(order(100, limit), quotes)
    traded = {venue_model(code).venue for code in venues if venue_model(code).is_displayed}
    quoting = {venue_model(one.venue).venue for one in touches}
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


def test_where_nobody_quotes_the_market_as_a_whole_is_asked() -> None:
    (decision,) = Router("stock").route(order(5), Quotes([]))
    assert sent([decision]) == [(CONSOLIDATED, 5)]
    assert decision.expected_cost is None
    assert not decision.immediate


def test_a_pool_displays_nothing_and_is_not_taken_from() -> None:
    quotes = Quotes([touch("D", 9_990, 10_000), touch("N", 9_990, 10_001)])
    assert sent(Router("stock").route(order(10), quotes)) == [("XNYS", 10)]


@pytest.mark.parametrize("peg", ["primary", "market", "mid"])
def test_a_pegged_order_goes_to_one_venue_and_stays(peg: str) -> None:
    quotes = Quotes([touch("N", 9_998, 10_002), touch("Q", 9_998, 10_002)])
    (decision,) = Router("stock").route(order(70, order_type="pegged", peg=peg), quotes)
    assert not decision.immediate
    assert decision.venue in {"XNYS", "XNAS"}


def test_there_are_fifteen_venues_of_us_equities_and_each_names_its_source() -> None:
    assert len(EXCHANGES) >= 15
    assert len({one.venue for one in MODELS}) == len(MODELS)
    names = [name for one in MODELS for name in (one.venue, *one.tape)]
    assert len(set(names)) == len(names)
    for model in MODELS:
        assert model.source
        assert 0 <= model.hidden_share < 1
        assert 0 < model.volume_share <= 1
        assert model.latency_ns >= 0


def test_no_fee_for_taking_is_above_what_the_rule_allowed() -> None:
    """17 CFR 242.610(c) as it stood when the schedules held: 0.003 dollars a share, 0.3 percent below a dollar."""
    for model in EXCHANGES:
        assert model.taking_fee(Decimal(50)) <= Decimal("0.003")
        assert model.taking_fee(Decimal("0.5")) == Decimal("0.0015")
        assert model.adding_fee(Decimal("0.5")) == 0


def test_venues_of_other_markets_have_their_own_default() -> None:
    assert venue_model("FXCM", "currency").taking_fee(Decimal("1.1")) == 0
    assert venue_model("BITSTAMP", "crypto").taking_fee(Decimal(200)) == Decimal("0.2")
    assert venue_model("SIM").venue == "OTHER"
    assert venue_model(CONSOLIDATED).latency_ns == 0
