"""What all algorithms have in common: parameters, children, when they begin and end, and their benchmarks."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from flows.trading.algorithms.children import Child, restored
from flows.trading.algorithms.parameters import SECOND_NS, AlgorithmParams, wrong_params
from flows.trading.benchmarks import Benchmark
from flows.trading.interfaces import (
    ONE,
    Action,
    Algorithm,
    AlgorithmReport,
    Cancel,
    Fill,
    Finish,
    Market,
    MarketEvent,
    Order,
    Send,
)

BEFORE_CLOSE_NS = 10 * SECOND_NS
"""So long before the close work ends at the latest: what is left then has still time to cross the spread."""

_GRACE_NS = 60 * SECOND_NS
"""How long it is tried to complete an order after its end."""

_RETRY_NS = SECOND_NS
"""How long it is left alone after an order was not filled, or could not be sent."""

_DAY_NS = 86_400 * SECOND_NS


class Worked(Algorithm):
    """An algorithm that begins when its time has come and the market is open, and ends with its time.

    Parameters
    ----------
    order : Order
        What is worked.
    params : mapping
        Accepted by `check`.
    """

    params_type: ClassVar[type[AlgorithmParams]] = AlgorithmParams
    ends_with_session: ClassVar[bool] = True
    """Whether its end is that of the session where nothing is said; otherwise it works as long as the order stands."""

    def __init__(self, order: Order, params: Mapping[str, Any]) -> None:
        self.order = order
        self.params = self.params_type.model_validate(dict(params))
        self.wake_at: int | None = None
        self.children: dict[int, Child] = {}
        self.filled = 0
        self.notes: list[str] = []
        self.end_at: int | None = None
        self.is_over = False
        self.is_completing = False
        self._deadline: int | None = None
        self._sent = 0
        self._has_begun = False
        self._retry_at: int | None = None
        self._curve: Any = None
        self._benchmark = Benchmark(is_buy=order.is_buy)

    @classmethod
    def check(cls, order: Order, params: Mapping[str, Any]) -> str | None:
        """Why the parameters cannot be used, with what is allowed; None if they can."""
        del order
        return wrong_params(cls.name, cls.params_type, params)

    @abstractmethod
    def plan(self, market: Market, curve: Any) -> None:
        """Begin to work: ``end_at`` is known where there is one."""

    @abstractmethod
    def pursue(self, market: Market) -> list[Action]:
        """Send, cancel or wait, as things stand; the market is tradable, and the end has not come."""

    def on_step(self, market: Market) -> None:
        """A time of the plan may have come; called before `pursue`."""

    def next_step(self) -> int | None:
        """The next time of the plan."""
        return None

    def on_market(self, event: MarketEvent, market: Market) -> bool:
        """Whether a market event asks for `pursue` at once."""
        del event, market
        return False

    def on_changed(self, market: Market) -> None:
        """The order has another quantity or limit; called before `pursue`."""

    def begin(self, market: Market, curve: Any) -> list[Action]:
        """See `Algorithm.begin`."""
        self._curve = curve
        return self._woken(market)

    def on_event(self, event: MarketEvent, market: Market) -> list[Action]:
        """See `Algorithm.on_event`."""
        if self.is_over:
            return []
        if not self._has_begun:
            return self._woken(market)
        self._benchmark.take(event, market)
        asked = self.on_market(event, market)
        if asked or (self._retry_at is not None and market.now >= self._retry_at):
            return self._woken(market)
        return []

    def on_time(self, market: Market) -> list[Action]:
        """See `Algorithm.on_time`."""
        return self._woken(market)

    def on_fill(self, fill: Fill, market: Market) -> list[Action]:
        """See `Algorithm.on_fill`."""
        child = self.children.get(fill.number)
        if child is not None:
            child.filled += fill.quantity
        self.filled += fill.quantity
        self._benchmark.fill(fill.quantity, fill.price)
        if self.left <= 0:
            self.is_over = True
            self.wake_at = None
        del market
        return []

    def on_end(self, number: int, reason: str, market: Market) -> list[Action]:
        """See `Algorithm.on_end`."""
        child = self.children.pop(number, None)
        if child is not None and not child.is_ending and not reason.startswith("filled"):
            # It came back by itself: to send the same at once would but bring it back again.
            self._retry_at = market.now + _RETRY_NS
        return self._woken(market)

    def on_replace(self, order: Order, market: Market) -> list[Action]:
        """See `Algorithm.on_replace`: what is left is planned anew."""
        self.order = order
        if self.is_over and self.left > 0:
            self.is_over = False
        if self._has_begun:
            self.on_changed(market)
        actions = self.cancelled(
            number for number, child in self.children.items() if self._does_not_fit(child)
        )
        return actions + self._woken(market)

    def report(self, market: Market) -> AlgorithmReport:
        """See `Algorithm.report`."""
        return self._benchmark.report(market, "; ".join(self.notes) or None)

    def saved(self) -> Any:
        """See `Algorithm.saved`."""
        return {
            "wake_at": self.wake_at,
            "children": [[number, *one.saved()] for number, one in self.children.items()],
            "filled": str(self.filled),
            "notes": list(self.notes),
            "end_at": self.end_at,
            "is_over": self.is_over,
            "is_completing": self.is_completing,
            "deadline": self._deadline,
            "sent": self._sent,
            "has_begun": self._has_begun,
            "retry_at": self._retry_at,
            "curve": self._curve,
            "benchmark": self._benchmark.saved(),
            "own": self.own_saved(),
        }

    def restore(self, saved: Any) -> None:
        """See `Algorithm.restore`."""
        self.wake_at = saved["wake_at"]
        self.children = {number: restored(rest) for number, *rest in saved["children"]}
        self.filled = int(saved["filled"])
        self.notes = list(saved["notes"])
        self.end_at = saved["end_at"]
        self.is_over = saved["is_over"]
        self.is_completing = saved["is_completing"]
        self._deadline = saved["deadline"]
        self._sent = saved["sent"]
        self._has_begun = saved["has_begun"]
        self._retry_at = saved["retry_at"]
        self._curve = saved["curve"]
        self._benchmark.restore(saved["benchmark"])
        self.own_restore(saved["own"])

    def own_saved(self) -> Any:
        """State besides that of `Worked`, as JSON values."""
        return None

    def own_restore(self, saved: Any) -> None:
        """Take over what `own_saved` gave."""

    # What algorithms do things with.

    @property
    def left(self) -> int:
        """What is not filled yet."""
        return self.order.quantity - self.filled

    @property
    def working(self) -> int:
        """What is open of the children."""
        return sum(child.left for child in self.children.values())

    def step(self, market: Market) -> int:
        """Smallest quantity that is sent: whole shares, or what the instrument's lot says where that is less."""
        return max(min(market.lot, ONE), 1)

    def near(self, market: Market) -> int | None:
        """Own side's best price within the limit; None where there is none."""
        best = market.bid if self.order.is_buy else market.ask
        limit = self.order.limit_price
        if best is None or limit is None:
            return best
        return min(best, limit) if self.order.is_buy else max(best, limit)

    def far(self, market: Market) -> int | None:
        """Other side's best price; None where there is none, or it is beyond the limit."""
        best = market.ask if self.order.is_buy else market.bid
        if best is None or self.is_beyond(best):
            return None
        return best

    def is_beyond(self, price: int) -> bool:
        """Whether a price is worse than the limit."""
        limit = self.order.limit_price
        if limit is None:
            return False
        return price > limit if self.order.is_buy else price < limit

    def sends(
        self,
        quantity: int,
        limit: int | None,
        *,
        time_in_force: str = "day",
        venue: str | None = None,
    ) -> list[Action]:
        """Send a child, of what is neither filled nor open at most."""
        quantity = min(quantity, self.left - self.working)
        if quantity <= 0:
            return []
        self._sent += 1
        self.children[self._sent] = Child(quantity, 0, limit)
        self._retry_at = None
        return [
            Send(
                number=self._sent,
                quantity=quantity,
                limit_price=limit,
                time_in_force=time_in_force,
                venue=venue,
            )
        ]

    def cancelled(self, numbers: Any) -> list[Action]:
        """Cancel children that are not being cancelled yet."""
        actions: list[Action] = []
        for number in list(numbers):
            child = self.children[number]
            if not child.is_ending:
                child.is_ending = True
                actions.append(Cancel(number=number))
        return actions

    def waits(self, market: Market) -> list[Action]:
        """Nothing can be done as things stand: look again when the market has changed."""
        self._retry_at = market.now + _RETRY_NS
        return []

    def may_send(self, market: Market) -> bool:
        """Whether nothing came back just before."""
        return self._retry_at is None or market.now >= self._retry_at

    def finishes(self, reason: str) -> list[Action]:
        """End for a reason, which the report has too."""
        self.is_over = True
        self.wake_at = None
        self.notes.append(reason)
        return [Finish(reason=reason)]

    # When what is done.

    def _woken(self, market: Market) -> list[Action]:
        if self.is_over:
            return []
        actions = self._acted(market)
        self.wake_at = self._next_wake(market)
        return actions

    def _acted(self, market: Market) -> list[Action]:
        if not self._has_begun:
            if self._opening(market) is not None:
                return []
            self._has_begun = True
            self._benchmark.begin(market)
            self.end_at = self._end(market)
            if self.end_at is not None and self.end_at <= market.now:
                return self.finishes("no time was left to work it")
            self.plan(market, self._curve)
            self._curve = None
        if self.end_at is not None and market.now >= self.end_at:
            return self._ended(market)
        self.on_step(market)
        return self.pursue(market) if market.is_tradable else self.waits(market)

    def _ended(self, market: Market) -> list[Action]:
        if self.params.completion == "leave":
            return self.finishes("its time is over: what is left is left")
        if not self.is_completing:
            self.is_completing = True
            self._deadline = self._last_moment(market)
            actions = self.cancelled(list(self.children))
            return actions or self._completed(market)
        if self._deadline is not None and market.now >= self._deadline:
            return self.finishes("its time is over, and what is left found no other side")
        return self._completed(market)

    def _completed(self, market: Market) -> list[Action]:
        """Cross the spread with all that is left, as deep as the limit allows."""
        if self.children or not self.may_send(market):
            return []
        if not market.is_tradable:
            return self.waits(market)
        return self.sends(self.left, self.order.limit_price, time_in_force="ioc")

    def _opening(self, market: Market) -> int | None:
        """When it can begin, if that is later than now."""
        times = [self.params.start_ns or 0]
        if market.session is not None:
            times.append(market.session[0])
        begin = max(times)
        return begin if begin > market.now else None

    def _end(self, market: Market) -> int | None:
        end = self.params.end_ns(market.now)
        session = market.session
        # Where one session follows the next without a pause, there is no close to be ready before.
        if session is None or session[1] - session[0] >= _DAY_NS:
            if end is None and self.ends_with_session:
                return market.now + _DAY_NS if session is None else session[1]
            return end
        if end is None and not self.ends_with_session:
            return None
        close = session[1] - BEFORE_CLOSE_NS
        if end is not None and end > close and self.ends_with_session:
            self.notes.append("ends before the close: a plan is of one session")
        if end is None or (self.ends_with_session and end > close):
            return close
        return end

    def _last_moment(self, market: Market) -> int:
        session = market.session
        moment = market.now + _GRACE_NS
        return moment if session is None else min(moment, max(session[1] - 1, market.now + 1))

    def _next_wake(self, market: Market) -> int | None:
        if self.is_over:
            return None
        if not self._has_begun:
            return self._opening(market)
        # What waits for the market to change is looked at when an event has changed it, not by time.
        end = self._deadline if self.is_completing else self.end_at
        step = None if self.is_completing else self.next_step()
        return min((time for time in (end, step) if time is not None), default=None)

    def _does_not_fit(self, child: Child) -> bool:
        if child.limit is None:
            return self.order.limit_price is not None
        return self.is_beyond(child.limit) or self.working > self.left
