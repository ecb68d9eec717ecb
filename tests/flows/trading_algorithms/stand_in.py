"""A market of one venue and a host for one algorithm, as simple as they can be: no queue, no latency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from flows.trading.algorithms import ALGORITHMS
from flows.trading.interfaces import (
    ONE,
    Action,
    Algorithm,
    Cancel,
    Fill,
    Finish,
    Market,
    MarketEvent,
    Order,
    QuoteEvent,
    Replace,
    Send,
    Touch,
    TradeEvent,
)

SECOND = 1_000_000_000
OPEN = 1_381_152_600 * SECOND  # 2013-10-07 13:30 UTC
CLOSE = OPEN + 23_400 * SECOND
NEXT_OPEN, NEXT_CLOSE = OPEN + 86_400 * SECOND, CLOSE + 86_400 * SECOND
CENT = ONE // 100


class StandInMarket(Market):
    """Best prices that a test sets."""

    # In place of the contract's properties.
    bid: int | None = None
    ask: int | None = None
    bid_size: int = 0
    ask_size: int = 0
    last: int | None = None

    def __init__(self, now: int = OPEN) -> None:
        self.symbol = "IBM"
        self.now = now
        self.tick = CENT
        self.lot = 100 * ONE
        self.bid, self.ask = 10_000 * CENT, 10_002 * CENT
        self.bid_size = self.ask_size = 1_000_000 * ONE

    @property
    def session(self) -> tuple[int, int]:
        return (OPEN, CLOSE) if self.now < CLOSE else (NEXT_OPEN, NEXT_CLOSE)

    @property
    def is_tradable(self) -> bool:
        crossed = self.bid is not None and self.ask is not None and self.bid > self.ask
        return self.session[0] <= self.now and not crossed

    def touches(self) -> Sequence[Touch]:
        return [Touch("N", self.bid, self.bid_size, self.ask, self.ask_size, self.now)]

    def levels(self, side: str, venues: Sequence[str] = ()) -> list[tuple[int, int, str]]:
        price, size = (self.ask, self.ask_size) if side == "buy" else (self.bid, self.bid_size)
        return [] if price is None or size <= 0 else [(price, size, "N")]


@dataclass
class Resting:
    """A child that rests."""

    quantity: int
    limit: int | None
    filled: int = 0


@dataclass
class Host:
    """Carries out what an algorithm asks for, and holds it to what it may ask for."""

    worker: Algorithm
    order: Order
    market: StandInMarket = field(default_factory=StandInMarket)
    params: Mapping[str, Any] = field(default_factory=dict)
    restarts: bool = False
    resting: dict[int, Resting] = field(default_factory=dict)
    fills: list[tuple[int, Fill]] = field(default_factory=list)
    actions: list[tuple[int, Action]] = field(default_factory=list)
    filled: int = 0
    finished: str | None = None

    def begin(self, curve: Any = None) -> None:
        self._carry_out(self.worker.begin(self.market, curve))

    def quote(self, bid: int | None, ask: int | None, sizes: tuple[int, int] | None = None) -> None:
        self.market.bid, self.market.ask = bid, ask
        if sizes is not None:
            self.market.bid_size, self.market.ask_size = sizes
        self._tell(QuoteEvent(self.market.now, "N"))
        self._match()

    def trade(self, price: int, size: int) -> None:
        self.market.last = price
        self._tell(TradeEvent(self.market.now, "N", price, size, None, sets_price=True))

    def pass_time(self, until: int) -> None:
        """Let time pass, with no event but what the algorithm asked to be woken for."""
        while not self.is_over and (wake := self.worker.wake_at) is not None and wake <= until:
            assert wake > self.market.now or not self.actions, "woken again without end"
            self.market.now = max(wake, self.market.now)
            self._again()
            before = self.worker.wake_at
            self._carry_out(self.worker.on_time(self.market))
            assert self.worker.wake_at is None or self.worker.wake_at > before
        self.market.now = max(self.market.now, until)

    def replace(self, order: Order) -> None:
        self.order = order
        self._carry_out(self.worker.on_replace(order, self.market))

    @property
    def is_over(self) -> bool:
        return self.finished is not None or self.filled >= self.order.quantity

    @property
    def sent(self) -> list[tuple[int, Send]]:
        return [(ts, one) for ts, one in self.actions if isinstance(one, Send)]

    def _tell(self, event: MarketEvent) -> None:
        if not self.is_over:
            self._again()
            self._carry_out(self.worker.on_event(event, self.market))

    def _again(self) -> None:
        if self.restarts:
            saved = orjson.loads(orjson.dumps(self.worker.saved()))
            fresh = type(self.worker)(self.order, self.params)
            fresh.restore(saved)
            assert fresh.saved() == saved
            self.worker = fresh

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            if self.is_over:
                return
            self.actions.append((self.market.now, action))
            match action:
                case Send():
                    self._send(action)
                case Replace(number, quantity, limit):
                    self.resting[number].quantity = quantity
                    self.resting[number].limit = limit
                case Cancel(number):
                    if self.resting.pop(number, None) is not None:
                        self._carry_out(self.worker.on_end(number, "cancelled", self.market))
                case Finish(reason):
                    self.finished = reason
        if not actions:
            return
        self._match()

    def _send(self, send: Send) -> None:
        assert send.quantity > 0
        open_ = sum(one.quantity - one.filled for one in self.resting.values())
        assert self.filled + open_ + send.quantity <= self.order.quantity
        self.resting[send.number] = Resting(send.quantity, send.limit_price)
        if send.time_in_force == "ioc":
            self._take(send.number)
            if send.number in self.resting:
                del self.resting[send.number]
                self._carry_out(self.worker.on_end(send.number, "expired", self.market))

    def _match(self) -> None:
        for number in list(self.resting):
            if number in self.resting:
                self._take(number)

    def _take(self, number: int) -> None:
        child = self.resting[number]
        buys = self.order.is_buy
        far, size = (
            (self.market.ask, self.market.ask_size)
            if buys
            else (self.market.bid, self.market.bid_size)
        )
        reaches = far is not None and (
            child.limit is None or (far <= child.limit if buys else far >= child.limit)
        )
        quantity = min(child.quantity - child.filled, size)
        if not reaches or quantity <= 0 or not self.market.is_tradable:
            return
        assert far is not None
        limit = self.order.limit_price
        assert limit is None or (far <= limit if buys else far >= limit)
        if buys:
            self.market.ask_size -= quantity
        else:
            self.market.bid_size -= quantity
        child.filled += quantity
        self.filled += quantity
        fill = Fill(number, quantity, far, "N", "removed")
        self.fills.append((self.market.now, fill))
        done = child.filled >= child.quantity
        if done:
            del self.resting[number]
        self._carry_out(self.worker.on_fill(fill, self.market))
        if done and not self.is_over:
            self._carry_out(self.worker.on_end(number, "filled", self.market))


def ordered(quantity: int = 1_200, side: str = "buy", limit: int | None = None) -> Order:
    """An order of so many shares."""
    return Order(
        order_id="abcdefghij",
        account="A",
        symbol="IBM",
        side=side,
        quantity=quantity * ONE,
        order_type="market" if limit is None else "limit",
        time_in_force="day",
        limit_price=limit,
    )


def hosted(name: str, order: Order | None = None, *, restarts: bool = False, **params: Any) -> Host:
    """A host of an algorithm that has not begun."""
    order = order or ordered()
    kind = ALGORITHMS[name]
    assert kind.check(order, params) is None
    return Host(kind(order, params), order, params=params, restarts=restarts)
