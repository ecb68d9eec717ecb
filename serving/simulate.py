"""The program `simulate`: the simulated market into the raw topics, live or as fast as it goes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Event

import numpy as np
import pyarrow as pa

from connectors.feeds.append import WALL, Appended, Appender
from connectors.feeds.ledger import BEGUN, DONE, ledger_record, read_ledger
from connectors.feeds.pace import Clock, Pace
from connectors.feeds.simulator import Simulator, SimulatorOptions, Slice
from connectors.feeds.source import FeedError
from connectors.log import Log, Writer
from schemas.arrays import Int64s
from schemas.topic import Topic
from serving.times import wall_text

_SECOND_NS = 1_000_000_000
# Rows of a commit at full speed, as for files.
_COMMIT_ROWS = 1 << 16
_BATCH_ROWS = 8192

_Keys = dict[str, dict[str, tuple[int, int]]]


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """How much of which market.

    Parameters
    ----------
    market : SimulatorOptions
        Which; live, it begins now, whatever its ``start_ns``.
    seconds : float or None
        So much event time; None for no end.
    rows : int or None
        So many rows of all topics together; None for no end.
    live : bool
        Whether event time is the wall's, and records say that their source is live.
    calendar : str
        Whose sessions end with watermark rows.
    """

    market: SimulatorOptions
    seconds: float | None = None
    rows: int | None = None
    live: bool = False
    calendar: str = "XNYS"


def run_simulation(
    log: Log,
    options: SimulateOptions,
    stop: Event,
    on_rows: Callable[[int], None] = lambda _: None,
) -> dict[str, int]:
    """Append a simulated market's rows until it ends or is told to stop.

    Parameters
    ----------
    log : Log
        With its topics made.
    options : SimulateOptions
        How much of which market.
    stop : threading.Event
        Set it to end.
    on_rows : callable
        Told after every commit how many rows there are so far.

    Returns
    -------
    dict of str to int
        Rows appended, by topic.

    Raises
    ------
    FeedError
        Before anything is appended, where the log has later rows of the symbols.
    """
    clock = Clock()
    market = options.market
    if options.live:
        # Kernels are compiled or loaded before time begins to count.
        next(iter(Simulator(market)))
        market = replace(market, start_ns=clock.now_ns())
    _refuse_older(log, market)
    appender = Appender(
        log,
        calendar=options.calendar,
        ts_recv=WALL,
        live=options.live,
        batch_rows=_BATCH_ROWS,
        clock=clock,
    )
    with log.writer(f"simulate:{market.seed}") as writer:
        appending = _Appending(writer, appender, on_rows)
        slices = _cut(iter(Simulator(market)), market.start_ns, options)
        if options.live:
            appending.live(slices, Pace(clock, 1.0, market.start_ns), stop)
        else:
            appending.at_full_speed(slices, stop)
        return appending.rows


class _Appending:
    """Commits slices, and says in the ledger how far each key is."""

    def __init__(self, writer: Writer, appender: Appender, on_rows: Callable[[int], None]) -> None:
        self._writer = writer
        self._appender = appender
        self._on_rows = on_rows
        self._run = f"{writer.name}:{writer.number}"
        self._keys: _Keys = {}
        self._noted_ns = 0
        self.rows: dict[str, int] = {}

    def live(self, slices: Iterator[Slice], pace: Pace, stop: Event) -> None:
        """Commit rows when their time has come."""
        for slice_ in slices:
            rest = slice_
            while rest and not stop.is_set():
                due = pace.due_ns()
                now, rest = _parted(rest, due)
                if now:
                    self._add(now)
                    # At every commit it would be more than the rows themselves.
                    self._commit(BEGUN if due - self._noted_ns >= _SECOND_NS else None, due)
                else:
                    pace.nap(min(int(times[0]) for _, _, times in rest))
            if stop.is_set():
                break
        self._end()

    def at_full_speed(self, slices: Iterator[Slice], stop: Event) -> None:
        """Commit rows as fast as they come."""
        for slice_ in slices:
            self._add(slice_)
            if self._appender.pending.rows >= _COMMIT_ROWS:
                self._commit(BEGUN)
            if stop.is_set():
                break
        self._end()

    def _add(self, slice_: Slice) -> None:
        self._appender.add(slice_)
        for topic, batch, _ in slice_:
            self.rows[topic.name] = self.rows.get(topic.name, 0) + batch.num_rows

    def _end(self) -> None:
        self._appender.finish(set())
        self._commit(DONE)

    def _commit(self, status: str | None, now_ns: int = 0) -> None:
        appended: Appended = self._appender.take()
        _merge(self._keys, appended.keys)
        records = list(appended.records)
        if status is not None:
            records.append(
                ledger_record(
                    self._run,
                    status,
                    files={},
                    keys=self._keys,
                    watermarks=appended.watermarks,
                )
            )
            self._keys, self._noted_ns = {}, now_ns
        self._writer.commit(records, self._writer.number + 1)
        self._on_rows(sum(self.rows.values()))


def _refuse_older(log: Log, market: SimulatorOptions) -> None:
    ledger = read_ledger(log)
    known = [
        time
        for topic in ledger.last_ns
        for key in market.names
        if (time := ledger.known_ns(topic, key)) is not None
    ]
    if known and market.start_ns < max(known):
        raise FeedError(
            f"the simulated market would begin at {wall_text(market.start_ns)}, the log has its "
            f"symbols up to {wall_text(max(known))}. Nothing was appended; simulate live, or into "
            "another TAPEFLOW_HOME"
        )


def _cut(slices: Iterator[Slice], start_ns: int, options: SimulateOptions) -> Iterator[Slice]:
    """The slices up to the time or the count of rows that is wanted."""
    end_ns = None if options.seconds is None else start_ns + int(options.seconds * 1e9)
    left = options.rows
    for slice_ in slices:
        part = slice_ if end_ns is None else _parted(slice_, end_ns - 1)[0]
        if left is not None:
            part = _first_rows(part, left)
            left -= sum(batch.num_rows for _, batch, _ in part)
        if part:
            yield part
        if left == 0 or (end_ns is not None and _latest(slice_) >= end_ns):
            return


def _parted(slice_: Slice, until_ns: int) -> tuple[Slice, Slice]:
    """The rows up to a time (inclusive), and those behind it."""
    due: Slice = []
    rest: Slice = []
    for topic, batch, times in slice_:
        at = int(np.searchsorted(times, until_ns, side="right"))
        due += _some(topic, batch.slice(0, at), times[:at])
        rest += _some(topic, batch.slice(at), times[at:])
    return due, rest


def _first_rows(slice_: Slice, rows: int) -> Slice:
    """So many rows of a slice, the earliest; rows of the same time go by topic."""
    if sum(batch.num_rows for _, batch, _ in slice_) <= rows:
        return slice_
    topics = np.concatenate([np.full(len(times), at) for at, (_, _, times) in enumerate(slice_)])
    order = np.argsort(np.concatenate([times for _, _, times in slice_]), kind="stable")
    counts = np.bincount(topics[order[:rows]], minlength=len(slice_)).tolist()
    first: Slice = []
    for count, (topic, batch, times) in zip(counts, slice_, strict=True):
        first += _some(topic, batch.slice(0, count), times[:count])
    return first


def _some(topic: Topic, batch: pa.RecordBatch, times: Int64s) -> Slice:
    return [(topic, batch, times)] if batch.num_rows else []


def _latest(slice_: Slice) -> int:
    return max(int(times[-1]) for _, _, times in slice_)


def _merge(into: _Keys, keys: Mapping[str, Mapping[str, tuple[int, int]]]) -> None:
    for topic, times in keys.items():
        known = into.setdefault(topic, {})
        for key, (first, last) in times.items():
            before = known.get(key, (first, last))
            known[key] = (min(first, before[0]), max(last, before[1]))
