"""A seeded limit-order-book market: quotes, trades and book events of a few hundred symbols.

Each symbol has a book with price-time priority (`connectors.feeds.book`) on which limit orders, market orders and
cancels arrive at random, so that trades hit resting orders, quotes are the touch, aggressors are on the right
side and prices on the tick. It is a source of rows to run on, with no claim to a market's statistics.

Same options, same bytes: all randomness is numpy's PCG64 with the seed, drawn in blocks of fixed length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.book import (
    ROWS_PER_ACTION_MAX,
    Books,
    Rows,
    new_books,
    new_rows,
    run,
    seed_books,
)
from connectors.feeds.categories import constant
from connectors.feeds.source import FeedError
from schemas.arrays import Floats, Int64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from schemas.topic import Topic

VENUE = "SIM"
TICK = 0.01
_TICKS_PER_UNIT = 100.0
# 09:30 in New York on Tuesday 2 January 2024: a session's opening, long enough ago for any wall clock.
START_NS = 1_704_205_800_000_000_000
SESSION_NS = 23_400_000_000_000

_BLOCK_ACTIONS = 8192
_ROWS_ROOM = 4 * _BLOCK_ACTIONS + ROWS_PER_ACTION_MAX
# Mean rows of all topics that one action causes, measured over ten million; see the test of the rate.
_ROWS_PER_ACTION = 1.59
_SEED_LEVELS = 10
_SIDES = ("buy", "sell")
_ACTIONS = ("add", "cancel", "execute")

Slice = list[tuple[Topic, pa.RecordBatch, Int64s]]


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """What market.

    Parameters
    ----------
    seed : int
        Of all randomness.
    symbols : int
        Count of symbols, ``SIM001`` and so on; the first are the busiest.
    rate : float
        Mean rows a second of event time, all topics together.
    start_ns : int
        Event time of the first rows, ns since 1970 UTC.
    u_shape : bool
        Whether the rate is high at the start and end of every 6.5 hours and low in between.
    """

    seed: int = 1
    symbols: int = 300
    rate: float = 20_000.0
    start_ns: int = START_NS
    u_shape: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.symbols <= 10_000:
            raise FeedError(f"symbols {self.symbols}: 1 to 10000 were needed")
        if not 0 < self.rate <= 1e9:
            raise FeedError(
                f"rate {self.rate}: more than 0 and at most 1e9 rows a second were needed"
            )

    @property
    def names(self) -> list[str]:
        """The symbols' names."""
        return [f"SIM{number:03d}" for number in range(1, self.symbols + 1)]


class Simulator:
    """An endless market; iterating yields slices of time, each the rows of every topic.

    A slice is a list of (topic, rows, event times in int64 ns), ordered by time within each topic; no row
    of a slice is later than one of the next. Iterating again goes on where it stopped.

    Examples
    --------
    >>> market = Simulator(SimulatorOptions(seed=7, symbols=3, rate=1000))
    >>> opening = next(iter(market))  # nothing has traded yet
    >>> [topic.name for topic, _, _ in opening]
    ['book_events', 'quotes']
    >>> [topic.name for topic, _, _ in next(iter(market))]
    ['book_events', 'quotes', 'trades']
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self._random = np.random.Generator(np.random.PCG64(options.seed))
        # $20 to $500, in ticks.
        ticks = self._random.integers(2_000, 50_000, options.symbols)
        self.books: Books = new_books(ticks)
        weights = 1.0 / np.arange(1, options.symbols + 1) ** 0.6
        self._shares = np.cumsum(weights / weights.sum())
        self._shares[-1] = 1.0
        self._time_ns = options.start_ns
        self._symbol = pa.array(options.names)
        self._rows = new_rows(_ROWS_ROOM)
        self._seeded = 0

    def __iter__(self) -> Iterator[Slice]:
        while True:
            yield from self._block()

    def _block(self) -> Iterator[Slice]:
        symbols = self.options.symbols
        while self._seeded < symbols:
            self._seeded = seed_books(
                self.books, self._rows, self._seeded, self.options.start_ns, _SEED_LEVELS
            )
            yield self._slice(self._rows)
        draws = self._random.integers(0, 2**64, _BLOCK_ACTIONS, dtype=np.uint64)
        symbol = np.searchsorted(self._shares, self._random.random(_BLOCK_ACTIONS), side="right")
        times = self._times()
        done = 0
        while done < _BLOCK_ACTIONS:
            done = run(self.books, self._rows, symbol, times, draws, done)
            yield self._slice(self._rows)

    def _times(self) -> Int64s:
        """Times of a block's actions: exponential gaps, at the rate of the block's start."""
        gap_ns = 1e9 * _ROWS_PER_ACTION / self.options.rate
        if self.options.u_shape:
            gap_ns /= u_shape((self._time_ns - self.options.start_ns) / SESSION_NS % 1.0)
        passed: Floats = np.cumsum(self._random.exponential(gap_ns, _BLOCK_ACTIONS))
        # Whole nanoseconds are added to the start of the block: a float of ns since 1970 has steps of 256.
        whole = self._time_ns
        times: Int64s = whole + passed.astype(np.int64)
        self._time_ns = int(times[-1])
        return times

    def _slice(self, rows: Rows) -> Slice:
        events, trades, quotes = rows.used.tolist()
        made = (
            (BOOK_EVENTS, self._book_events(rows.event[:events].copy()), rows.event[:events, 1]),
            (QUOTES, self._quotes(rows.quote[:quotes].copy()), rows.quote[:quotes, 1]),
            (TRADES, self._trades(rows.trade[:trades].copy()), rows.trade[:trades, 1]),
        )
        return [(topic, batch, times.copy()) for topic, batch, times in made if batch.num_rows]

    def _common(self, rows: Int64s) -> dict[str, pa.Array]:
        ts_event = pa.array(np.ascontiguousarray(rows[:, 1])).view(TIMESTAMP)
        return {
            "symbol": pa.DictionaryArray.from_arrays(
                pa.array(rows[:, 0].astype(np.int32)), self._symbol
            ),
            "venue": constant(VENUE, len(rows)),
            "ts_event": ts_event,
            "ts_recv": ts_event,
        }

    def _book_events(self, rows: Int64s) -> pa.RecordBatch:
        return BOOK_EVENTS.batch(
            {
                **self._common(rows),
                "action": _coded(rows[:, 2], _ACTIONS),
                "order_id": pa.array(rows[:, 3].astype(np.uint64)),
                "side": _coded(rows[:, 4], _SIDES),
                "price": _price(rows[:, 5]),
                "size": pa.array(rows[:, 6].astype(np.float64)),
                "is_last": pa.repeat(pa.scalar(True), len(rows)),
            }
        )

    def _quotes(self, rows: Int64s) -> pa.RecordBatch:
        return QUOTES.batch(
            {
                **self._common(rows),
                "bid": _price(rows[:, 2]),
                "bid_size": pa.array(rows[:, 3].astype(np.float64)),
                "ask": _price(rows[:, 4]),
                "ask_size": pa.array(rows[:, 5].astype(np.float64)),
            }
        )

    def _trades(self, rows: Int64s) -> pa.RecordBatch:
        true = pa.repeat(pa.scalar(True), len(rows))
        return TRADES.batch(
            {
                **self._common(rows),
                "price": _price(rows[:, 3]),
                "size": pa.array(rows[:, 4].astype(np.float64)),
                "side": _coded(rows[:, 2], _SIDES),
                "updates_high_low": true,
                "updates_last": true,
                "updates_volume": true,
                "trade_id": pc.cast(pa.array(np.ascontiguousarray(rows[:, 5])), pa.string()),
                "action": constant("new", len(rows)),
            }
        )


def u_shape(part: float) -> float:
    """Relative rate at a part (0 to 1) of the session: 2 at its ends, 0.5 in the middle, 1 on average.

    Examples
    --------
    >>> u_shape(0.0), u_shape(0.5)
    (2.0, 0.5)
    """
    return 0.5 + 1.5 * (2.0 * part - 1.0) ** 2


def _price(ticks: Int64s) -> pa.Array:
    # Divided, not multiplied by 0.01: the quotient is the float nearest to the decimal price.
    return pa.array(ticks / _TICKS_PER_UNIT)


def _coded(codes: Int64s, values: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(values)))
