"""A symbol's market as quotes of venues, orders, and what a router's decisions say, for tests of routing."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from flows.trading.interfaces import ONE, Decision, Market, Order, Touch
from flows.trading.market import NOTHING_SEEN, Seen
from flows.trading.routing import venue_model
from flows.trading.routing.venues import OTHER_EXCHANGE

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


def venue_of(code: str) -> str:
    """Where an order goes for what market data names so: a venue that is not in the table is itself."""
    model = venue_model(code)
    return code if model is OTHER_EXCHANGE else model.venue


def sent(decisions: list[Decision]) -> list[tuple[str, int]]:
    return [(one.venue, one.quantity // ONE) for one in decisions]


def candidates(decision: Decision) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(decision.candidates)
    return found


TOUCHES = st.lists(
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
