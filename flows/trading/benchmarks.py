"""What an order's fills are measured against: arrival price, the market's VWAP and the mid's TWAP meanwhile.

All sums are integers and all quotients fractions, so that a measure is exact up to its last step, the float64 that is
told. Trades count as they were printed: what the tape corrects or cancels later was seen by nobody who traded then.
Time in which the market is closed does not count.
"""

from fractions import Fraction
from typing import Any

from flows.trading.interfaces import ONE, AlgorithmReport, Market, MarketEvent, TradeEvent

BASIS_POINTS = 10_000

# Digits of a basis point that are told: float64 has no more of a price's.
_DIGITS = 9


class Benchmark:
    """An order's market from its beginning on, and its fills.

    Times are ns since 1970 UTC; prices and sizes integers, scaled by 10**10.

    Parameters
    ----------
    is_buy : bool
        Whether the order buys.
    """

    def __init__(self, *, is_buy: bool) -> None:
        self._is_buy = is_buy
        self._begin_ns: int | None = None
        self._ts_ns = 0
        # Twice the mid, so that it is an integer.
        self._mid2: int | None = None
        self._arrival2: int | None = None
        self._mid_time = self._known_ns = 0
        self._volume = self._value = 0
        self._filled = self._paid = 0

    @property
    def begin_ns(self) -> int | None:
        """When it began."""
        return self._begin_ns

    def begin(self, market: Market) -> None:
        """From here on it is measured; where there is no mid yet, the first one is that of arrival."""
        self._begin_ns = self._ts_ns = market.now
        self._stands(market)

    def take(self, event: MarketEvent, market: Market) -> None:
        """Take a market event in."""
        if self._begin_ns is None:
            return
        if isinstance(event, TradeEvent):
            self._volume += event.size
            self._value += event.price * event.size
        else:
            self._pass_time(market)
            self._stands(market)

    def fill(self, quantity: int, price: int) -> None:
        """Take a fill in."""
        self._filled += quantity
        self._paid += quantity * price

    def report(self, market: Market, note: str | None) -> AlgorithmReport:
        """The measures until now."""
        if self._begin_ns is not None:
            self._pass_time(market)
        arrival = _half(self._arrival2)
        vwap = Fraction(self._value, self._volume) if self._volume else None
        # Where no time has passed, the mid that stands is what a time-weighted one tends to.
        known = self._known_ns
        twap = Fraction(self._mid_time, 2 * known) if known else _half(self._mid2)
        return AlgorithmReport(
            arrival_price=_told(arrival),
            vwap=_told(vwap),
            twap=_told(twap),
            slippage_arrival=self._slippage(arrival),
            slippage_vwap=self._slippage(vwap),
            slippage_twap=self._slippage(twap),
            participation=float(Fraction(self._filled, self._volume)) if self._volume else None,
            ts_begin=self._begin_ns,
            note=note,
        )

    def saved(self) -> list[Any]:
        """Its state as JSON values; as text what outgrows 64 bits."""
        sums = (self._mid_time, self._known_ns, self._volume, self._value, self._filled, self._paid)
        halves = (self._mid2, self._arrival2)
        return [
            self._begin_ns,
            self._ts_ns,
            [None if one is None else str(one) for one in halves],
            [str(one) for one in sums],
        ]

    def restore(self, saved: list[Any]) -> None:
        """Take over what `saved` gave."""
        self._begin_ns, self._ts_ns, halves, sums = saved
        self._mid2, self._arrival2 = [None if one is None else int(one) for one in halves]
        (
            self._mid_time,
            self._known_ns,
            self._volume,
            self._value,
            self._filled,
            self._paid,
        ) = map(int, sums)

    def _stands(self, market: Market) -> None:
        bid, ask = market.bid, market.ask
        self._mid2 = None if bid is None or ask is None or bid > ask else bid + ask
        if self._arrival2 is None:
            self._arrival2 = self._mid2

    def _pass_time(self, market: Market) -> None:
        session = market.session
        since = self._ts_ns
        if session is not None and session[0] <= market.now:
            since = max(since, session[0])
        passed = market.now - since
        if passed > 0 and self._mid2 is not None:
            self._mid_time += self._mid2 * passed
            self._known_ns += passed
        self._ts_ns = max(market.now, self._ts_ns)

    def _slippage(self, benchmark: Fraction | None) -> float | None:
        if benchmark is None or not self._filled:
            return None
        return slippage_bps(Fraction(self._paid, self._filled), benchmark, is_buy=self._is_buy)


def slippage_bps(price: Fraction, benchmark: Fraction, *, is_buy: bool) -> float | None:
    """How much worse than a benchmark a price is, in basis points of the benchmark.

    Perold, A. (1988), "The implementation shortfall: paper versus reality", Journal of Portfolio Management 14(3), 4-9,
    for the price of arrival; the others by analogy.

    Parameters
    ----------
    price, benchmark : Fraction
        Average price of what was filled, and what it is measured against.
    is_buy : bool
        Whether it was bought.

    Returns
    -------
    float or None
        Positive is worse: bought above, or sold below. None for a benchmark that is not above zero.

    Examples
    --------
    >>> price, benchmark = Fraction("100.1"), Fraction(100)
    >>> slippage_bps(price, benchmark, is_buy=True), slippage_bps(price, benchmark, is_buy=False)
    (10.0, -10.0)
    """
    if benchmark <= 0:
        return None
    worse = price - benchmark if is_buy else benchmark - price
    return round(float(worse / benchmark * BASIS_POINTS), _DIGITS)


def _half(twice: int | None) -> Fraction | None:
    return None if twice is None else Fraction(twice, 2)


def _told(price: Fraction | None) -> float | None:
    return None if price is None else float(price / ONE)
