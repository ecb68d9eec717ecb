"""Marks against plain Python over the rows of `flows.nbbo`, and by their rules one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from flows.flow import Emit, Late, Rows, Watermarks
from flows.marks import Marks, MarksParams
from flows.nbbo import Nbbo, NbboParams
from schemas.market import TRADES
from tests.flows.nbbo_reference import Mark, Quote, quotes_batch
from tests.flows.test_nbbo import MIDNIGHT, NOON, SECOND, made_up
from tests.flows.test_nbbo_tape import tape
from tests.flows.trades import parts_of, rows_of, watermarks


@dataclass(frozen=True)
class Trade:
    """A row of trades; one that does not count sets no last price."""

    key: str
    time: int
    price: float
    counts: bool = True
    action: str = "new"


Event = Quote | Trade | Mark
Told = tuple[int, float | None, float | None, float | None, float | None]


def trades_batch(trades: Sequence[Trade]) -> pa.RecordBatch:
    """The rows as a batch of the topic."""
    times = [one.time for one in trades]
    flags = [one.counts for one in trades]
    return TRADES.batch(
        {
            "symbol": [one.key for one in trades],
            "venue": ["N"] * len(trades),
            "ts_event": times,
            "ts_recv": times,
            "price": [one.price for one in trades],
            "size": [100.0] * len(trades),
            "updates_high_low": flags,
            "updates_last": flags,
            "updates_volume": flags,
            "action": [one.action for one in trades],
        }
    )


class Run:
    """The flow over events in batches of a size, with or without restarts between them."""

    def __init__(
        self,
        events: Sequence[Event],
        params: MarksParams | None = None,
        *,
        size: int = 1_000,
        restart: bool = False,
    ) -> None:
        params = params or MarksParams()
        flow = Marks(params, None)
        self.rows: dict[str, list[Told]] = {}
        self.late = 0
        for _, part in parts_of(events, size):
            for one in _given(flow, part):
                if isinstance(one, Late):
                    self.late += len(one.index)
                    continue
                one.batch.validate(full=True)
                frame = pl.DataFrame(one.batch).with_columns(pl.col("ts_event").to_physical())
                for symbol, *row in frame.rows():
                    self.rows.setdefault(symbol, []).append(tuple(row))
            if restart:
                flow = Marks(params, flow.snapshot())


def _given(flow: Marks, part: Sequence[Event]) -> list[Any]:
    if isinstance(part[0], Mark):
        times = np.array([one.time for one in part])
        keys = [one.key for one in part]
        return [
            given
            for key, time in zip(keys, times, strict=True)
            for given in flow.on_watermark(Watermarks(keys=[key], times=np.array([time]), input=0))
        ]
    if isinstance(part[0], Quote):
        (rows,) = rows_of(quotes_batch(part)).inputs
        return flow.on_rows(Rows(inputs=(rows, None)))
    (rows,) = rows_of(trades_batch(part)).inputs
    return flow.on_rows(Rows(inputs=(None, rows)))


@dataclass
class _Key:
    now: int = -1
    last_time: int = -1
    values: tuple[float | None, ...] = (None, None, None)
    rows: list[Told] = field(default_factory=list)


class Reference:
    """What the flow must give; the best bid and offer it asks of `flows.nbbo`, a quote at a time."""

    def __init__(self, params: MarksParams) -> None:
        self.params = params
        self.nbbo = Nbbo(NbboParams(stale_after=params.stale_after), None)
        self.keys: dict[str, _Key] = {}

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            key = self.keys.setdefault(event.key, _Key())
            if isinstance(event, Trade):
                key.now = max(key.now, event.time)
                if event.counts and event.action == "new" and event.time >= key.last_time:
                    key.last_time = event.time
                    key.values = (*key.values[:2], event.price)
                self._tell(key)
                continue
            self._best(key, event)
            if isinstance(event, Quote):
                key.now = max(key.now, event.time)
                self._tell(key)
            elif key.rows and key.values != key.rows[-1][1:4]:
                then = key.rows[-1][0]
                if event.time > then and event.time - then >= self.params.interval:
                    key.now = max(key.now, then + 1)
                    self._write(key)

    def _best(self, key: _Key, event: Quote | Mark) -> None:
        if isinstance(event, Quote):
            given = self.nbbo.on_rows(rows_of(quotes_batch([event])))
        else:
            given = self.nbbo.on_watermark(watermarks([event.key], [event.time]))
        for one in given:
            if isinstance(one, Emit):
                frame = pl.DataFrame(one.batch).with_columns(pl.col("ts_event").to_physical())
                for time, bid, ask in frame.select("ts_event", "bid", "ask").rows():
                    key.now = max(key.now, time)
                    key.values = (bid, ask, key.values[2])
                    self._tell(key)

    def _differs(self, key: _Key) -> bool:
        return bool(key.rows) and key.values != key.rows[-1][1:4] and key.now > key.rows[-1][0]

    def _tell(self, key: _Key) -> None:
        if not key.rows:
            if key.values != (None, None, None):
                self._write(key)
        elif self._differs(key):
            then, *_, told = key.rows[-1]
            price = self._price(key)
            moved = (
                price is not None
                and told is not None
                and abs(price - told) > self.params.move * told
            )
            if moved or key.now - then >= self.params.interval:
                self._write(key)

    def _write(self, key: _Key) -> None:
        key.rows.append((key.now, *key.values, self._price(key)))

    def _price(self, key: _Key) -> float | None:
        bid, ask, last = key.values
        if bid is not None and ask is not None:
            mid = 0.5 * bid + 0.5 * ask
            if ask - bid <= self.params.max_spread * mid:
                return mid
        return last


def market(seed: int, count: int) -> list[Event]:
    """Quotes of `made_up`, and trades between them, some of which come late or do not count."""
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for event in made_up(seed, count):
        events.append(event)
        if rng.random() < 0.4:
            late = int(rng.integers(0, 4)) * SECOND if rng.random() < 0.1 else 0
            price = float(rng.choice([99.75, 100.0, 100.25, 150.0]))
            action = "new" if rng.random() < 0.95 else "cancel"
            counts = bool(rng.random() < 0.9)
            events.append(Trade(event.key, event.time - late, price, counts, action))
    return events


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "params",
    [
        MarksParams(),
        MarksParams(interval=5 * SECOND, move=0.004, max_spread=0.007),
        MarksParams(interval=0, stale_after=30 * SECOND),
    ],
    ids=["default", "slow", "every"],
)
def test_rows_are_those_of_the_plain_reference(params: MarksParams, seed: int) -> None:
    events = market(seed, 600)
    reference = Reference(params)
    reference.take(events)
    run = Run(events, params)
    for name, key in reference.keys.items():
        assert run.rows[name] == key.rows, name
    assert run.late


@pytest.mark.parametrize("size", [1, 3, 50])
def test_neither_cuts_nor_restarts_change_a_row(size: int) -> None:
    events = market(7, 300)
    assert Run(events, size=size, restart=True).rows == Run(events).rows


def quote(at: float, bid: float, ask: float, venue: str = "N", key: str = "K") -> Quote:
    """A quote of both sides, seconds after noon."""
    return Quote(key, NOON + int(at * SECOND), venue, bid=(bid, 1.0), ask=(ask, 1.0))


def trade(at: float, price: float, **more: Any) -> Trade:
    """A trade, seconds after noon."""
    return Trade("K", NOON + int(at * SECOND), price, **more)


def told(run: Run) -> list[tuple[float | None, ...]]:
    """Seconds after noon, bid, ask, last and price."""
    return [((row[0] - NOON) / SECOND, *row[1:]) for row in run.rows.get("K", [])]


def test_small_changes_wait_for_the_interval_and_moves_do_not() -> None:
    events = [quote(at, 100.0, 100.02 + at / 100) for at in (0, 0.25, 0.5, 1.0)]
    events += [quote(1.25, 101.0, 101.02), quote(1.5, 101.0, 101.04), quote(9.0, 101.0, 101.04)]
    assert [row[0] for row in told(Run(events))] == [0, 1.0, 1.25, 9.0]


def test_what_waits_is_told_by_the_first_event_of_any_kind_that_is_an_interval_away() -> None:
    first = [quote(0, 100.0, 100.02), quote(0.5, 100.0, 100.04)]
    unchanged = quote(3, 99.0, 101.0, "Q")
    for event in (unchanged, trade(3, 7.0, counts=False), Mark("K", NOON + 3 * SECOND)):
        last = told(Run([*first, event]))[-1]
        # A watermark row is no event: what is told has the time at which it came.
        assert last[:3] == (0.5 if isinstance(event, Mark) else 3, 100.0, 100.04)
    assert len(told(Run([*first, Mark("K", NOON + SECOND // 2)]))) == 1


def test_what_comes_at_the_time_of_the_last_row_is_told_by_a_watermark_row() -> None:
    """It was told by no watermark row: a quote whose sides came in two rows had no price until the next quote."""
    one_side, other = Quote("K", NOON, "N", bid=(10.0, 1.0)), Quote("K", NOON, "N", ask=(10.5, 1.0))
    for interval in (0, SECOND):
        for since, rows in ((0, 1), (SECOND, 2), (3_600 * SECOND, 2)):
            events = [one_side, other, Mark("K", NOON + since), Mark("K", NOON + since)]
            run = Run(events, MarksParams(interval=interval))
            assert [row[4] for row in told(run)] == [None, 10.25][:rows]
            assert [row[0] - NOON for row in run.rows["K"]] == [0, 1][:rows]
    trades = [trade(0, 10.0), trade(0, 30.0), Mark("K", NOON + SECOND), trade(1.5, 31.0)]
    assert [row[3] for row in told(Run(trades))] == [10.0, 30.0, 31.0]


def test_the_best_is_over_all_venues() -> None:
    quotes = [quote(0, 100.0, 101.0, "N"), quote(2, 100.5, 102.0, "Q"), quote(4, 99.0, 100.9, "Z")]
    best = [row[1:3] for row in told(Run(quotes))]
    assert best == [(100.0, 101.0), (100.5, 101.0), (100.5, 100.9)]


def test_the_price_is_the_last_trades_where_there_is_no_mid_or_too_wide_a_spread() -> None:
    events: list[Event] = [
        trade(0, 100.0),
        quote(2, 0.01, 199_999.0),
        quote(4, 99.0, 103.0),
        Quote("K", NOON + 6 * SECOND, "N", ask=(None, 0.0)),
    ]
    assert [row[4] for row in told(Run(events))] == [100.0, 100.0, 101.0, 100.0]
    assert told(Run([quote(0, 0.01, 199_999.0)]))[0][4] is None


def test_a_correction_or_an_older_trade_changes_no_last_price() -> None:
    events = [trade(5, 100.0), trade(7, 50.0, action="cancel"), trade(3, 60.0), trade(9, 101.0)]
    assert [row[3] for row in told(Run(events))] == [100.0, 101.0]


def test_quotes_end_with_their_session_and_the_last_trade_stays() -> None:
    events = [trade(0, 100.0), quote(1, 99.0, 100.0), Mark("K", MIDNIGHT)]
    run = Run(events)
    assert told(run)[-1][1:] == (None, None, 100.0, 100.0)
    assert run.rows["K"][-1][0] == MIDNIGHT


@pytest.mark.shared
def test_the_marks_of_a_real_day_are_the_best_that_stood_and_at_most_one_a_second(
    shared: Any,
) -> None:
    params = MarksParams(move=1.0)
    quotes = tape(shared, "ibm", "20131007")
    flow = Marks(params, None)
    given: list[Any] = []
    for batch in quotes:
        given += flow.on_rows(Rows(inputs=(*rows_of(batch).inputs, None)))
    marks = pl.concat(pl.DataFrame(one.batch) for one in given if isinstance(one, Emit))
    nbbo = Nbbo(NbboParams(), None)
    best = pl.concat(
        pl.DataFrame(one.batch)
        for batch in quotes
        for one in nbbo.on_rows(rows_of(batch))
        if isinstance(one, Emit)
    ).select("ts_event", "bid", "ask")
    gaps = marks["ts_event"].diff().drop_nulls().dt.total_nanoseconds()
    assert gaps.min() >= SECOND
    # Within one moment the mark may have any of its states; else what stood before it.
    same = marks.join(best, on=["ts_event", "bid", "ask"], how="semi", nulls_equal=True)
    before = (
        marks.join(same, on="ts_event", how="anti")
        .join_asof(best, on="ts_event", suffix="_best", allow_exact_matches=False)
        .filter(
            pl.col("bid").eq_missing(pl.col("bid_best"))
            & pl.col("ask").eq_missing(pl.col("ask_best"))
        )
    )
    assert same.height + before.height == marks.height
    assert marks.height > 5_000
