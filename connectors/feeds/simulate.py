"""The simulated market into the log's raw topics, on the way that feeds take."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from connectors.crash_points import crash_point
from connectors.feeds.append import WALL, Appender
from connectors.feeds.categories import constant
from connectors.feeds.ledger import BEGUN, DONE, Ledger, LedgerWriter, read_ledger
from connectors.feeds.options import FeedProgress
from connectors.feeds.pace import Clock, Pace
from connectors.feeds.simulator import VENUE, Simulator, SimulatorOptions, Slice
from connectors.feeds.source import FeedError
from connectors.log import Log, Writer
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from schemas.sessions import DEFAULT_CALENDAR

WRITER = "simulate"

# Rows of a commit at full speed: enough that the commit's own cost is small beside theirs.
_COMMIT_ROWS = 1 << 16
# Commits of which one has a control record with all keys' times.
_TOLD_EVERY = 64


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """How much of the market, and how it is appended.

    Parameters
    ----------
    rows : int or None
        Stop after so many rows (a few more, where one event causes several).
    seconds : float or None
        Stop after so many seconds of event time.
    paced : bool
        Whether event time passes as wall time does, or as fast as can be.
    live : bool
        Whether the market's event times are now: it is paced, begins at the wall time at which it is
        started, and its records say that they are live.
    ts_recv : str
        ``wall`` or ``event``.
    calendar : str
        Whose sessions end with watermark rows.
    batch_rows : int
        Most rows of a record.
    clock : Clock
        Tells the wall time; a test's own.
    stop : callable
        Asked before every commit; true ends the market there.
    """

    rows: int | None = None
    seconds: float | None = None
    paced: bool = False
    live: bool = False
    ts_recv: str = WALL
    calendar: str = DEFAULT_CALENDAR
    batch_rows: int = 8192
    clock: Clock = field(default_factory=Clock)
    stop: Callable[[], bool] = lambda: False


def simulate(
    log: Log,
    market: SimulatorOptions,
    options: SimulateOptions,
    on_progress: Callable[[FeedProgress], None] | None = None,
) -> dict[str, int]:
    """Append a simulated market, with watermark rows at session ends and at its end.

    Parameters
    ----------
    log : Log
        With its topics made (`connectors.topics.create_topics`).
    market : SimulatorOptions
        What market.
    options : SimulateOptions
        How much of it, and how.
    on_progress : callable or None
        Called after every commit.

    Returns
    -------
    dict of str to int
        Rows appended, by topic.

    Raises
    ------
    FeedError
        Where the log has later rows of the market's symbols, before anything is appended.
    """
    with log.writer(WRITER) as writer:
        ledger = read_ledger(log)
        appender = Appender(
            log,
            calendar=options.calendar,
            ts_recv=options.ts_recv,
            live=options.live,
            batch_rows=options.batch_rows,
            clock=options.clock,
        )
        if options.live:
            # As late as can be: what was loaded before would else be latency of the first rows.
            market = replace(market, start_ns=options.clock.now_ns())
        _refuse(ledger, market)
        name = f"{WRITER}:{writer.number}"
        run = _Run(LedgerWriter(log, ledger, name), writer, appender, on_progress)
        if left := [one for one in market.names if ledger.known_ns(BOOK_EVENTS.name, one)]:
            run.add(_cleared(left, market.start_ns))
        slices = _limited(iter(Simulator(market)), market, options)
        if options.paced or options.live:
            slices = _paced(slices, market.start_ns, options.clock)
        else:
            slices = _grouped(slices)
        for piece in slices:
            if options.stop():
                break
            run.add(piece)
        run.finish()
    return run.rows


class _Run:
    """Commits of one market, and their counts."""

    def __init__(
        self,
        ledger: LedgerWriter,
        writer: Writer,
        appender: Appender,
        on_progress: Callable[[FeedProgress], None] | None,
    ) -> None:
        self._ledger = ledger
        self._told: dict[str, dict[str, int]] = {}
        self._closed: dict[str, int] = {}
        self._commits = 0
        self._writer = writer
        self._appender = appender
        self._on_progress = on_progress
        self._ts_event_ns = 0
        self.rows = {topic.name: 0 for topic in (BOOK_EVENTS, QUOTES, TRADES)}

    def add(self, piece: Slice) -> None:
        """Append a slice in one commit."""
        self._appender.add(piece)
        for topic, batch, times in piece:
            self.rows[topic.name] += batch.num_rows
            self._ts_event_ns = max(self._ts_event_ns, int(times[-1]))
        self._commit(BEGUN)

    def finish(self) -> None:
        """The last watermark rows."""
        self._appender.finish(set())
        self._commit(DONE)

    def _commit(self, status: str) -> None:
        appended = self._appender.take()
        for topic, times in appended.keys.items():
            self._told.setdefault(topic, {}).update(times)
        self._closed.update(appended.watermarks)
        self._commits += 1
        records = appended.records
        # There is no file to go on with: now and then is enough to know how far the keys are.
        if status == DONE or self._commits % _TOLD_EVERY == 0:
            control = self._ledger.record(
                status, files={}, keys=self._told, watermarks=self._closed
            )
            records = [*records, control]
            self._told, self._closed = {}, {}
        crash_point("feed: before commit")
        self._writer.commit(records, self._writer.number + 1)
        crash_point("feed: committed")
        if self._on_progress is not None:
            rows = sum(self.rows.values())
            self._on_progress(
                FeedProgress(
                    rows=rows,
                    rejected=0,
                    bytes_done=0,
                    bytes_total=0,
                    ts_event_ns=self._ts_event_ns,
                )
            )


def cut(piece: Slice, before_ns: int) -> tuple[Slice, Slice]:
    """The rows of a slice below a time, and the rest."""
    head: Slice = []
    tail: Slice = []
    for topic, batch, times in piece:
        at = int(np.searchsorted(times, before_ns, side="left"))
        if at:
            head.append((topic, batch.slice(0, at), times[:at]))
        if at < len(times):
            tail.append((topic, batch.slice(at), times[at:]))
    return head, tail


def _limited(
    slices: Iterator[Slice], market: SimulatorOptions, options: SimulateOptions
) -> Iterator[Slice]:
    """The market until its rows or seconds are over."""
    left = options.rows
    for whole in slices:
        piece = whole
        if options.seconds is not None:
            piece, rest = cut(piece, market.start_ns + int(options.seconds * 1e9))
        else:
            rest = []
        times = [times for _, _, times in piece]
        rows = sum(map(len, times))
        if left is not None and rows >= left:
            if left:
                last_ns = int(np.partition(np.concatenate(times), left - 1)[left - 1])
                yield cut(piece, last_ns + 1)[0]
            return
        if piece:
            yield piece
        if rest:
            return
        left = left if left is None else left - rows


def _grouped(slices: Iterator[Slice]) -> Iterator[Slice]:
    """Slices one behind the other, so many that a commit pays."""
    held: Slice = []
    rows = 0
    for piece in slices:
        held += piece
        rows += sum(batch.num_rows for _, batch, _ in piece)
        if rows >= _COMMIT_ROWS:
            yield _joined(held)
            held, rows = [], 0
    if held:
        yield _joined(held)


def _joined(held: Slice) -> Slice:
    """One batch a topic, so that records are long."""
    joined: Slice = []
    for topic in (BOOK_EVENTS, QUOTES, TRADES):
        same = [(batch, times) for known, batch, times in held if known is topic]
        if same:
            table = pa.Table.from_batches([batch for batch, _ in same]).combine_chunks()
            joined.append(
                (topic, table.to_batches()[0], np.concatenate([times for _, times in same]))
            )
    return joined


def _paced(slices: Iterator[Slice], start_ns: int, clock: Clock) -> Iterator[Slice]:
    """The rows that are due, when they are; each as soon as it is."""
    pace = Pace(clock, 1.0, start_ns)
    for piece in slices:
        rest = piece
        while rest:
            due, rest = cut(rest, pace.due_ns() + 1)
            if due:
                yield due
            if rest:
                # Even if a row is due by now: it goes with those of the next moment, in one commit.
                pace.nap(min(int(times[0]) for _, _, times in rest))


def _cleared(names: Sequence[str], start_ns: int) -> Slice:
    """Empties the books that an earlier market has left: its orders would stand in those of this one for ever."""
    time = pa.repeat(pa.scalar(start_ns, TIMESTAMP), len(names))
    batch = BOOK_EVENTS.batch(
        {
            "symbol": pa.array(names).dictionary_encode(),
            "venue": constant(VENUE, len(names)),
            "ts_event": time,
            "ts_recv": time,
            "action": constant("clear", len(names)),
            "is_last": pa.repeat(pa.scalar(True), len(names)),
        }
    )
    return [(BOOK_EVENTS, batch, np.full(len(names), start_ns))]


def _refuse(ledger: Ledger, market: SimulatorOptions) -> None:
    for name in market.names:
        for topic in (BOOK_EVENTS, QUOTES, TRADES):
            known_ns = ledger.known_ns(topic.name, name)
            if known_ns is not None and known_ns > market.start_ns:
                raise FeedError(
                    f"the log has {name} in {topic.name} up to {known_ns} ns, and the market would begin at "
                    f"{market.start_ns} ns: start it later, or use another log"
                )
