"""The simulated market: the same bytes for the same seed, and books that a second book-keeping confirms."""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import polars as pl
import pytest

from connectors.feeds.book import ID, SIDE, SIZE, TICK
from connectors.feeds.pace import Clock
from connectors.feeds.simulate import SimulateOptions, simulate
from connectors.feeds.simulator import (
    SESSION_NS,
    START_NS,
    Simulator,
    SimulatorOptions,
    Slice,
    u_shape,
)
from connectors.feeds.source import FeedError
from connectors.log import Log
from schemas.codec import encode
from schemas.registry import market_topics
from schemas.validation import validate

NOW_NS = 1_767_268_800_000_000_000
OPTIONS = SimulatorOptions(seed=11, symbols=20, rate=50_000)
STILL = Clock(now_ns=lambda: NOW_NS, sleep=lambda _: None)

Rows = Callable[[Log, str], list[dict[str, Any]]]


def digest(slices: list[Slice]) -> str:
    sums = hashlib.sha256()
    for piece in slices:
        for topic, batch, times in piece:
            sums.update(topic.name.encode() + encode(batch) + times.tobytes())
    return sums.hexdigest()


def frame(slices: list[Slice], name: str) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame(batch) for piece in slices for topic, batch, _ in piece if topic.name == name
    )


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    first = digest(list(islice(Simulator(OPTIONS), 8)))
    assert digest(list(islice(Simulator(OPTIONS), 8))) == first
    assert digest(list(islice(Simulator(replace(OPTIONS, seed=12)), 8))) != first


def test_rows_are_valid_and_time_goes_forward_in_every_topic() -> None:
    slices = list(islice(Simulator(OPTIONS), 8))
    last = 0
    for piece in slices:
        assert min(int(times[0]) for _, _, times in piece) >= last
        last = max(int(times[-1]) for _, _, times in piece)
        for topic, batch, times in piece:
            assert validate(topic, batch, NOW_NS).good is batch
            assert (np.diff(times) >= 0).all()
            ts_event = batch.column("ts_event").cast("int64").to_numpy()
            assert np.array_equal(ts_event, times)


class Bookkeeper:
    """An independent book: resting orders by number, in the order in which they came."""

    def __init__(self) -> None:
        self.orders: dict[int, list[Any]] = {}
        self.added = self.cancelled = self.executed = 0.0

    def apply(self, action: str, order_id: int, side: str, price: float, size: float) -> None:
        if action == "add":
            # An order that crosses the touch would have to trade.
            best = self.best("sell" if side == "buy" else "buy")
            assert best is None or (price < best if side == "buy" else price > best)
            self.orders[order_id] = [side, price, size]
            self.added += size
            return
        order = self.orders[order_id]
        assert (order[0], order[1]) == (side, price)
        assert 0 < size <= order[2]
        if action == "execute":
            # Price first, then time: order numbers grow with time.
            assert price == self.best(side)
            queue = [other for other, (s, p, _) in self.orders.items() if (s, p) == (side, price)]
            assert order_id == min(queue)
            self.executed += size
        else:
            self.cancelled += size
        order[2] -= size
        if order[2] == 0:
            del self.orders[order_id]

    def best(self, side: str) -> float | None:
        prices = [price for known, price, _ in self.orders.values() if known == side]
        return None if not prices else max(prices) if side == "buy" else min(prices)

    def size_at(self, side: str, price: float) -> float:
        return sum(size for s, p, size in self.orders.values() if (s, p) == (side, price))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_second_bookkeeper_agrees_with_every_event_quote_and_trade(seed: int) -> None:
    market = Simulator(SimulatorOptions(seed=seed, symbols=3, rate=1000))
    slices = list(islice(market, 4))
    events = frame(slices, "book_events").rows(named=True)
    trades = frame(slices, "trades").rows(named=True)
    quotes = frame(slices, "quotes").to_dicts()
    books: dict[str, Bookkeeper] = defaultdict(Bookkeeper)
    quote_at = {(row["symbol"], row["ts_event"]): row for row in quotes}
    by_time: dict[tuple[str, Any], list[dict[str, Any]]] = defaultdict(list)
    for row in events:
        by_time[row["symbol"], row["ts_event"]].append(row)
    seen = {}
    for (symbol, time), rows in by_time.items():
        book = books[symbol]
        for row in rows:
            book.apply(row["action"], row["order_id"], row["side"], row["price"], row["size"])
        bid, ask = book.best("buy"), book.best("sell")
        assert bid is not None
        assert ask is not None
        assert bid < ask
        touch = (bid, book.size_at("buy", bid), ask, book.size_at("sell", ask))
        quote = quote_at.pop((symbol, time), None)
        if quote is None:
            assert seen[symbol] == touch
        else:
            assert (quote["bid"], quote["bid_size"], quote["ask"], quote["ask_size"]) == touch
            assert seen.get(symbol) != touch
        seen[symbol] = touch
    assert not quote_at
    executed = [row for row in events if row["action"] == "execute"]
    other = {"buy": "sell", "sell": "buy"}
    assert [
        (r["symbol"], r["ts_event"], other[r["side"]], r["price"], r["size"]) for r in executed
    ] == [(r["symbol"], r["ts_event"], r["side"], r["price"], r["size"]) for r in trades]
    assert [row["trade_id"] for row in trades] == [str(at + 1) for at in range(len(trades))]
    for at, name in enumerate(market.options.names):
        book = books[name]
        resting = sum(size for _, _, size in book.orders.values())
        assert book.added == book.cancelled + book.executed + resting
        count = market.books.orders[at, 0]
        kept = market.books.order[at, market.books.live[at, :count]]
        assert {
            int(order[ID]): (("buy", "sell")[order[SIDE]], order[TICK] / 100, float(order[SIZE]))
            for order in kept
        } == {order_id: tuple(order) for order_id, order in book.orders.items()}


def test_prices_lie_on_the_tick() -> None:
    prices = frame(list(islice(Simulator(OPTIONS), 4)), "trades")["price"].to_numpy()
    assert (np.round(prices * 100) / 100 == prices).all()


@pytest.mark.parametrize("rate", [1_000.0, 100_000.0])
def test_rows_come_at_the_rate_asked_for(rate: float) -> None:
    slices = list(islice(Simulator(SimulatorOptions(symbols=50, rate=rate)), 1, 30))
    rows = sum(batch.num_rows for piece in slices for _, batch, _ in piece)
    first = min(int(times[0]) for _, _, times in slices[0])
    last = max(int(times[-1]) for _, _, times in slices[-1])
    assert rows / ((last - first) / 1e9) == pytest.approx(rate, rel=0.05)


def test_the_u_shape_is_busy_at_the_ends_and_keeps_the_mean() -> None:
    parts = np.linspace(0, 1, 100_001)
    assert np.mean([u_shape(part) for part in parts]) == pytest.approx(1.0, rel=1e-4)
    # A rate at which a session is some twelve blocks.
    options = SimulatorOptions(symbols=2, rate=13_000 * 12 / (SESSION_NS / 1e9), u_shape=True)
    times = np.concatenate(
        [times for piece in islice(Simulator(options), 1, 16) for _, _, times in piece]
    )
    part = (times - START_NS) / SESSION_NS
    opening = np.count_nonzero(part < 0.2)
    noon = np.count_nonzero((part > 0.4) & (part < 0.6))
    assert opening > 2 * noon


def test_simulating_appends_the_rows_and_ends_the_session(
    log: Log, rows_of: Rows, watermarks_of: Callable[[Log, str], list[tuple[str, int]]]
) -> None:
    seen: list[int] = []
    counts = simulate(
        log,
        OPTIONS,
        SimulateOptions(rows=100_000, clock=STILL, ts_recv="event"),
        lambda progress: seen.append(progress.rows),
    )
    assert 100_000 <= sum(counts.values()) <= 100_020
    assert seen[-1] == sum(counts.values())
    for name, count in counts.items():
        got = pl.DataFrame(rows_of(log, name))
        assert len(got) == count
        want = frame(list(islice(Simulator(OPTIONS), 12)), name)
        for symbol in ("SIM001", "SIM020"):
            mine = got.filter(symbol=symbol).drop("symbol", "venue")
            theirs = want.filter(pl.col("symbol") == symbol).drop("symbol", "venue")
            theirs = theirs.head(len(mine)).with_columns(
                pl.selectors.categorical().cast(pl.String),
                pl.selectors.datetime().to_physical(),
            )
            assert mine.cast(dict(theirs.schema)).equals(theirs)
    for topic in market_topics():
        found = watermarks_of(log, topic.name)
        assert sorted(key for key, _ in found) == OPTIONS.names
        # 00:00 in New York of the day after 2 January 2024.
        assert {time for _, time in found} == {START_NS - 34_200_000_000_000 + 86_400_000_000_000}


def test_seconds_end_the_market_too(log: Log, rows_of: Rows) -> None:
    simulate(log, OPTIONS, SimulateOptions(seconds=0.5, clock=STILL))
    times = [row["ts_event"] for row in rows_of(log, "trades")]
    assert START_NS + 450_000_000 < max(times) < START_NS + 500_000_000


def test_a_market_that_would_begin_before_the_logs_rows_is_refused(log: Log) -> None:
    simulate(log, OPTIONS, SimulateOptions(rows=1000, clock=STILL))
    end = log.end("_feeds", 0)
    with pytest.raises(FeedError, match="start it later"):
        simulate(log, OPTIONS, SimulateOptions(rows=1000, clock=STILL))
    assert log.end("_feeds", 0) == end
    simulate(
        log,
        replace(OPTIONS, start_ns=START_NS + 86_400_000_000_000),
        SimulateOptions(rows=1000, clock=STILL),
    )


def test_a_second_market_empties_the_books_that_the_first_has_left(log: Log, rows_of: Rows) -> None:
    """Orders of the first stood in the books of the second for ever, and crossed it."""
    simulate(log, OPTIONS, SimulateOptions(rows=1000, clock=STILL))
    later_ns = START_NS + 86_400_000_000_000
    more = replace(OPTIONS, start_ns=later_ns, symbols=OPTIONS.symbols + 1)
    simulate(log, more, SimulateOptions(rows=1000, clock=STILL))
    cleared = [row for row in rows_of(log, "book_events") if row["action"] == "clear"]
    assert sorted(row["symbol"] for row in cleared) == sorted(OPTIONS.names)
    assert {row["ts_event"] for row in cleared} == {later_ns}
    known: dict[str, set[int]] = defaultdict(set)
    for row in rows_of(log, "book_events"):
        if row["action"] == "clear":
            known[row["symbol"]].clear()
        if row["action"] == "add":
            # With the same seed the second market gives its orders the names of the first.
            assert row["order_id"] not in known[row["symbol"]]
            known[row["symbol"]].add(row["order_id"])


def test_a_live_market_has_the_wall_clocks_times_and_leaves_its_session_open(
    log: Log, rows_of: Rows, wall: Any, watermarks_of: Callable[[Log, str], list[tuple[str, int]]]
) -> None:
    start_ns = wall.now_ns
    options = replace(OPTIONS, rate=5_000)
    lags: list[int] = []
    simulate(
        log,
        options,
        SimulateOptions(seconds=2.0, live=True, clock=wall.clock),
        lambda progress: lags.append(wall.now_ns - progress.ts_event_ns),
    )
    rows = rows_of(log, "book_events")
    times = np.array([row["ts_event"] for row in rows])
    received = np.array([row["ts_recv"] for row in rows])
    assert start_ns <= times.min()
    assert times.max() < start_ns + 2_000_000_000
    # Never before its time, and by a tick or two at most behind it.
    assert ((received - times) >= 0).all()
    assert (received - times).max() < 10_000_000
    assert wall.now_ns - start_ns == pytest.approx(2e9, rel=0.02)
    assert watermarks_of(log, "trades") == []
    assert log.read("trades", 0, 0).records[0].header("live") == b"1"


def test_stopping_ends_a_market_without_an_end(log: Log, wall: Any) -> None:
    start_ns = wall.now_ns
    counts = simulate(
        log,
        replace(OPTIONS, rate=5_000),
        SimulateOptions(
            live=True, clock=wall.clock, stop=lambda: wall.now_ns > start_ns + 1_000_000_000
        ),
    )
    assert sum(counts.values()) == pytest.approx(5_000, rel=0.3)


@pytest.mark.parametrize("options", [{"symbols": 0}, {"rate": 0.0}, {"rate": -1.0}])
def test_impossible_markets_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises(FeedError, match=next(iter(options))):
        SimulatorOptions(**options)
