"""What bars with corrections must be, by brute force; and random logs of trades, corrections and watermarks."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from flows.bars import Bars, BarsParams
from flows.bars_corrected import REASONS
from flows.flow import Emit, Input
from schemas.bars import VALUES
from schemas.field import TIMESTAMP
from schemas.market import TRADES
from tests.flows.bars_reference import Mark, Reference, Trade
from tests.flows.trades import parts_of, plain, rows_of, watermarks

SECOND = 10**9
HOUR = 3600 * SECOND
NOON = 1_381_161_600 * SECOND  # Monday 2013-10-07 16:00 UTC, noon in New York
INTERVALS = {"2s": 2 * SECOND, "10s": 10 * SECOND, "1m": 60 * SECOND, "1d": 0}
NAMES = [value.name for value in VALUES]
OLD, UNKNOWN, BY_TIME, NO_TIME, SEVERAL, CANCELLED = (
    REASONS[7],
    REASONS[2],
    REASONS[3],
    REASONS[4],
    REASONS[5],
    REASONS[6],
)


class Row(NamedTuple):
    """A row of trades: a trade with names, or a correction."""

    trade: Trade
    name: str | None = None
    ref: str | None = None
    ts_ref: int | None = None
    venue: str = "X"


def batch_of(rows: Sequence[Row]) -> pa.RecordBatch:
    trades = [row.trade for row in rows]
    times = np.array([t.time for t in trades], dtype=np.int64)
    return TRADES.batch(
        {
            "symbol": pa.array([t.key for t in trades]),
            "venue": pa.array([row.venue for row in rows]),
            "ts_event": times,
            "ts_recv": times,
            "price": np.array([t.price for t in trades]),
            "size": np.array([t.size for t in trades]),
            "side": pa.array([t.side for t in trades], pa.string()),
            "updates_high_low": np.array([t.high_low for t in trades], dtype=bool),
            "updates_last": np.array([t.last for t in trades], dtype=bool),
            "updates_volume": np.array([t.volume for t in trades], dtype=bool),
            "trade_id": pa.array([row.name for row in rows], pa.string()),
            "action": pa.array([t.action for t in trades]),
            "ref_trade_id": pa.array([row.ref for row in rows], pa.string()),
            "ts_ref": pa.array([row.ts_ref for row in rows], pa.int64()).cast(TIMESTAMP),
        }
    )


class Run:
    """A flow run over rows and marks; `now` is what the bars are with the revisions laid over."""

    def __init__(
        self,
        events: Sequence[Row | Mark],
        params: BarsParams,
        *,
        lateness: int = 0,
        size: int = 1000,
        restart: bool = False,
    ) -> None:
        class LateBars(Bars):
            inputs = (Input(topic=replace(TRADES, lateness_ns=lateness)),)

        self.flow = LateBars(params, None)
        self.now: dict[tuple, tuple] = {}
        self.bars: list[dict] = []
        self.revised: list[dict] = []
        self.unapplied: list[tuple[int, str]] = []
        for begin, part in parts_of(events, size):
            self._take(part, begin)
            if restart:
                state = self.flow.snapshot()
                self.flow = LateBars(params, state)
                assert self.flow.snapshot() == state

    def _take(self, part: Sequence[Row | Mark], begin: int) -> None:
        if isinstance(part[0], Mark):
            emitted = [
                e
                for mark in part
                for e in self.flow.on_watermark(watermarks([mark.key], [mark.time]))
            ]
        else:
            emitted = self.flow.on_rows(rows_of(batch_of(part), offset=begin))
        for item in (e for e in emitted if isinstance(e, Emit)):
            item.batch.validate(full=True)
            for row in plain(item.batch):
                if item.topic.name == "bars":
                    self.bars.append(row)
                    key = (row["symbol"], row["interval"], row["ts_event"])
                    assert key not in self.now
                    self.now[key] = tuple(row[name] for name in NAMES)
                elif item.topic.name == "bars_revised":
                    self._revise(row)
                else:
                    assert row["flow"] == "bars"
                    self.unapplied.append((begin + row["source_row"], row["reason"]))

    def _revise(self, row: dict) -> None:
        self.revised.append(row)
        key = (row["symbol"], row["interval"], row["ts_end"])
        assert tuple(row[f"old_{name}"] for name in NAMES) == self.now[key]
        self.now[key] = tuple(row[name] for name in NAMES)
        before = [r for r in self.revised if (r["symbol"], r["interval"], r["ts_end"]) == key]
        assert row["revision"] == len(before)


class Corrected:
    """The trades as they are corrected, in log order, by the definition: one dictionary, row by row."""

    def __init__(
        self, events: Sequence[Row | Mark], lateness: int, refused: Collection[int] = ()
    ) -> None:
        self.events: list[Trade | Mark] = []
        self.unapplied: list[tuple[int, str]] = []
        sessions = Reference({})
        named: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        frontiers: dict[str, int] = {}
        for index, event in enumerate(events):
            if isinstance(event, Mark):
                self.events.append(event)
                frontiers[event.key] = max(frontiers.get(event.key, event.time), event.time)
                continue
            trade = event.trade
            moved = trade.time - lateness
            frontier = frontiers[trade.key] = max(frontiers.get(trade.key, moved), moved)
            name = (trade.key, event.venue, event.name)
            if trade.action == "new":
                if event.name:
                    named[name].append(index)
                self.events.append(trade)
                continue
            self.events.append(Mark(trade.key, moved))
            if index in refused:
                continue
            times = {at: events[at].trade.time for at in named[trade.key, event.venue, event.ref]}
            meant = [at for at in times if event.ts_ref in (None, times[at])]
            begin = sessions.session(frontier)[0]
            if event.ref is None:
                self.unapplied.append((index, BY_TIME))
            elif event.ts_ref is not None and event.ts_ref < begin:
                self.unapplied.append((index, OLD))
            elif not meant:
                self.unapplied.append((index, UNKNOWN))
            elif isinstance(self.events[at := meant[-1]], Mark):
                self.unapplied.append((index, CANCELLED))
            elif trade.action == "cancel":
                self.events[at] = Mark(trade.key, self.events[at].time - lateness)
            else:
                self.events[at] = trade._replace(time=self.events[at].time, action="new")
                if event.name:
                    named[name].append(at)


PRICES = st.floats(min_value=1e-3, max_value=1e6)
FLAG = st.booleans()
TRADE = st.builds(
    Trade,
    key=st.sampled_from("AB"),
    time=st.integers(-20, 20).map(lambda s: s * SECOND // 4),
    price=PRICES,
    size=st.floats(min_value=0, max_value=1e6),
    side=st.sampled_from([None, "buy", "sell"]),
    high_low=FLAG,
    last=FLAG,
    volume=FLAG,
    action=st.sampled_from(["new"] * 4 + ["correct", "correct", "cancel"]),
)
MARK = st.builds(
    Mark, key=st.sampled_from("AB"), time=st.integers(-60, 5).map(lambda s: s * SECOND)
)


@st.composite
def logs(draw: st.DrawFn) -> list[Row | Mark]:
    """Trades of two keys and venues that go on, jitter included; corrections of any of them by any name."""
    steps = draw(st.lists(st.one_of(TRADE, TRADE, TRADE, MARK), min_size=2, max_size=50))
    pace = draw(st.sampled_from([1, 7, 1500]))
    made: list[Row | Mark] = []
    trades: list[int] = []
    for at, step in enumerate(steps):
        one = step._replace(time=NOON + step.time + at * pace * SECOND)
        if isinstance(one, Mark):
            made.append(one)
            continue
        if one.action == "new" or not trades:
            # Long names are hashed; now and then one is used again.
            name = draw(st.sampled_from([f"{at}", f"trade-number-{at:05}", "again"]))
            made.append(Row(one._replace(action="new"), name, venue=draw(st.sampled_from("XXY"))))
            trades.append(len(made) - 1)
            continue
        meant = made[draw(st.sampled_from(trades))]
        told = draw(st.sampled_from([None, meant.trade.time]))
        made.append(
            Row(
                one._replace(key=meant.trade.key),
                draw(st.sampled_from([None, f"{at}"])),
                draw(st.sampled_from([meant.name, meant.name, meant.name, "unknown", None])),
                told,
                meant.venue,
            )
        )
        if one.action == "correct" and made[-1].name:
            # A correction can be meant by its own name, at the time of the trade.
            trades.append(len(made) - 1)
            made[-1] = made[-1]._replace(ts_ref=None)
    return made
