"""Lands every topic of a log in ClickHouse and in the Parquet lake, each row once in each.

Before anything is written, an intent in the log says which offsets go where; after it, a done. A start repeats
open intents with the same rows, deduplication token and file names, so that a crash at any point neither
doubles nor loses a row. The log is read and decoded once for both sinks, which write in a thread each.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import structlog

from connectors.arrow_memory import keep_freed_memory
from connectors.clickhouse import StoreLink, create_tables, create_views
from connectors.crash_points import crash_point
from connectors.lake_buffer import LakeBuffer
from connectors.lake_lock import sole_lander
from connectors.lander_sinks import ClickHouseSink, Job, LakeSink
from connectors.landing_latency import Latency, LatencyHistogram
from connectors.landing_loss import refuse_lost_tail
from connectors.landing_order import ProgressLast, is_progress
from connectors.landing_portion import Portion, portion_of
from connectors.landing_tail import Piece, landed_topics, read_piece, read_span
from connectors.landings import CLICKHOUSE, LAKE, Done, Intent, LandingRecorder
from connectors.log import Log
from connectors.metrics import LANDER_OPEN, LANDER_REPEATED, LANDER_ROWS, LANDER_SECONDS
from connectors.parquet import lake_folder
from connectors.patience import Patience
from schemas.registry import TOPICS
from schemas.topic import Topic

# What one step takes from the log, over all topics: rows (or records without rows), and bytes, of which
# a few giant records have many.
_STEP_ROWS = 200_000
_STEP_BYTES = 64 << 20
# Inserts of different tables under way at once.
_INSERTS = 2
# Between two steps when little comes: an insert costs the store about 10 ms of a core, whatever its size.
_INTERVAL_S = 0.04
_SMALL_STEP_ROWS = 20_000
_WAIT_S = 0.2
_TOPICS_EVERY_S = 1.0
# An insert takes a second at most: a store that has not answered after so long is hung.
_INSERT_S = 60
# A store that is not there at the start is more likely a wrong address than one that comes back.
_START_S = 60.0

log_line = structlog.get_logger(__name__)


@dataclass
class LanderMetrics:
    """Counts since the lander started.

    Parameters
    ----------
    rows : dict
        Sink to topic to rows landed.
    intents_repeated : int
        Intents of an earlier run that were open and done again.
    """

    rows: dict[str, dict[str, int]] = field(
        default_factory=lambda: {CLICKHOUSE: defaultdict(int), LAKE: defaultdict(int)}
    )
    intents_repeated: int = 0


class Lander:
    """Tails all topics of a log and lands them; one at a time a log, a second one fences the first.

    Parameters
    ----------
    log : Log
        What is landed, and where the lander's own records are.
    store_url : str
        ``chdb:///path`` or ``clickhouse://…``.
    lake : str or Path
        Folder of the lake, or its ``file://`` URL.
    topics : iterable of Topic
        Whose rows land; control topics always do, in the lake.
    lake_flush_ns : int
        How long rows may wait for their Parquet file.
    give_up_s : float
        How long a store that went away, or a full disk of the lake, is waited for. Rows wait in the log
        meanwhile.
    serves_store : bool
        Whether an embedded store that nobody serves is served by this process; not where another is
        about to, which would find its files held.

    Raises
    ------
    connectors.chdb_engine.StoreError
        Where the store cannot be reached.
    connectors.landing_faults.LandingError
        Where a sink does not take a range, or another lander writes the lake.
    connectors.landing_loss.LostTailError
        Where the sinks hold offsets that the log does not have.
    """

    def __init__(
        self,
        log: Log,
        store_url: str,
        lake: str | Path,
        *,
        topics: Iterable[Topic] = tuple(TOPICS.values()),
        lake_flush_ns: int = 60_000_000_000,
        give_up_s: float = 3600.0,
        serves_store: bool = True,
    ) -> None:
        keep_freed_memory()
        self.metrics = LanderMetrics()
        self._log = log
        self._topics = {topic.name: topic for topic in topics}
        self._buffer = LakeBuffer(lake_flush_ns)
        self._latency = LatencyHistogram()
        self._stop = threading.Event()
        # Set once nothing that fails is to be waited for any more.
        self._hurry = threading.Event()
        with ExitStack() as opened:
            self._held = opened
            # Before the log's fence: a copy started by mistake ends, and the one at work goes on.
            opened.enter_context(sole_lander(lake_folder(lake)))
            self._set_up(store_url, lake_folder(lake), give_up_s, serves_store=serves_store)
            self._held = opened.pop_all()

    def _set_up(self, store_url: str, lake: Path, give_up_s: float, *, serves_store: bool) -> None:
        """Reach the sinks, become the log's only lander, and finish what an earlier one began."""
        self._link = self._held.enter_context(
            StoreLink(store_url, patience_s=give_up_s, answer_s=_INSERT_S, in_process=serves_store)
        )
        self._link.stop = self._hurry
        for make in (create_tables, create_views):
            self._link.run(make, patience_s=min(give_up_s, _START_S))
        self._recorder = LandingRecorder(self._log)
        self._held.callback(self._recorder.close)
        self._order = ProgressLast(self._log)
        self._clickhouse = ClickHouseSink(self._link)
        patience = Patience("lake", give_up_s=give_up_s, stop=self._hurry)
        self._lake = LakeSink(lake, patience)
        self._threads = {
            sink: ThreadPoolExecutor(1, thread_name_prefix=f"lander-{sink}")
            for sink in (CLICKHOUSE, LAKE)
        }
        self._inserts = ThreadPoolExecutor(_INSERTS, thread_name_prefix="lander-insert")
        self._running: dict[str, Future[list[Done]]] = {}
        self._dones: list[Done] = []
        self._cursors: dict[tuple[str, int], int] = {}
        self._begun: dict[str, dict[tuple[str, int], int]] = {CLICKHOUSE: {}, LAKE: {}}
        self._looked_s = 0.0
        refuse_lost_tail(self._log, self._link, lake, self._topics.values())
        self._repeat_open()

    def run_until_end(self) -> None:
        """Land everything up to the log's present end, in both sinks."""
        self._look_for_topics()
        ends = {at: self._log.end(*at) for at in self._cursors}
        while self._order.holding or any(self._cursors[at] < end for at, end in ends.items()):
            self._step()
        self.flush()

    def run_forever(self, stop: threading.Event) -> None:
        """Land until told to stop; what was read by then is in both sinks on return.

        Raises
        ------
        connectors.chdb_engine.StoreError
            Also where it is told to stop while the store is away: what is open is landed by the next start.
        """
        self._stop = stop
        while not stop.is_set():
            started_s = time.monotonic()
            rows = self._step()
            if rows is None:
                self._finish(CLICKHOUSE)
                if LAKE in self._running and self._running[LAKE].done():
                    self._finish(LAKE)
                self._record([])
                self._log.wait(self._cursors, _WAIT_S)
            elif rows < _SMALL_STEP_ROWS:
                stop.wait(max(0.0, started_s + _INTERVAL_S - time.monotonic()))
        self.flush()

    def flush(self) -> None:
        """Put all that was read into both sinks and record it."""
        self._finish(LAKE)
        self._start(LAKE, self._buffer.take())
        self._finish(CLICKHOUSE)
        self._finish(LAKE)
        self._record([])
        self._lake.compact()

    def latencies(self) -> Latency:
        """From append to readable in ClickHouse, by rows."""
        return self._latency.result()

    def close(self) -> None:
        """Wait for what is being written and give everything back; nothing new is begun."""
        self._hurry.set()
        for threads in (*self._threads.values(), self._inserts):
            threads.shutdown(wait=True)
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _step(self) -> int | None:
        """Read what came and hand it to the sinks; how much that was, or None where nothing came."""
        self._look_for_topics()
        read = self._read()
        inserts = {}
        for name, pieces in read.items():
            topic = self._topics.get(name)
            to_lake = self._not_begun(LAKE, pieces)
            portion = portion_of(topic, to_lake) if to_lake else None
            if portion is not None:
                self._buffer.add(name, portion)
            if topic is None:
                continue
            to_clickhouse = self._not_begun(CLICKHOUSE, pieces)
            if portion is not None and _same(to_clickhouse, to_lake):
                inserts[name] = portion
            elif to_clickhouse:
                inserts[name] = portion_of(topic, to_clickhouse)
        if inserts:
            self._finish(CLICKHOUSE)
            self._start(CLICKHOUSE, inserts)
        if self._buffer.is_due():
            self._finish(LAKE)
            self._start(LAKE, self._buffer.take())
        return sum(piece.weight for pieces in read.values() for piece in pieces) if read else None

    def _read(self) -> dict[str, list[Piece]]:
        """The next pieces by topic, within the bounds of a step; no topic waits for another's end."""
        found: dict[str, list[Piece]] = defaultdict(list)
        rows = size = 0
        self._order.hold(self._cursors, self._next_piece)
        # Behind what is held: a partition that is at its end now has all that came before it.
        others = {at: end for at, end in self._cursors.items() if not is_progress(at[0])}
        waiting = self._log.news(others)
        for at in others.keys() - waiting:
            self._order.at_end(at)
        while waiting and rows < _STEP_ROWS and size < _STEP_BYTES:
            for at in list(waiting):
                if rows >= _STEP_ROWS or size >= _STEP_BYTES:
                    break
                piece = self._next_piece(at)
                if piece is None:
                    waiting.remove(at)
                    self._order.at_end(at)
                    continue
                found[piece.name].append(piece)
                rows += piece.weight
                size += piece.size_bytes
        for piece in self._order.released(self._cursors):
            found[piece.name].append(piece)
        # The next step begins with the partitions that this one may not have come to.
        self._cursors = dict(sorted(self._cursors.items(), key=lambda one: one[0] not in waiting))
        return found

    def _next_piece(self, at: tuple[str, int]) -> Piece | None:
        name, partition = at
        piece = read_piece(self._log, name, self._topics.get(name), partition, self._cursors[at])
        if piece is not None:
            self._cursors[at] = piece.span.end
        return piece

    def _not_begun(self, sink: str, pieces: list[Piece]) -> list[Piece]:
        """The parts of pieces that the sink has not got yet."""
        parts = []
        for piece in pieces:
            at = (piece.name, piece.span.partition)
            part = piece.after(self._begun[sink][at])
            if part.span.start < part.span.end:
                self._begun[sink][at] = part.span.end
                parts.append(part)
        return parts

    def _start(self, sink: str, portions: dict[str, Portion]) -> None:
        """Record the intents, then let the sink's thread write."""
        jobs = [
            Job(self._recorder.intent(sink, name, one.spans), self._topics.get(name), one)
            # In this order they are written, and repeated.
            for name, one in sorted(portions.items(), key=lambda one: is_progress(one[0]))
        ]
        self._record([job.intent for job in jobs])
        if jobs:
            self._running[sink] = self._threads[sink].submit(self._write, sink, jobs)

    def _write(self, sink: str, jobs: list[Job]) -> list[Done]:
        crash_point(f"{sink}: intents recorded")
        if sink == LAKE:
            self._lake.compact()
            dones = [self._written(self._lake, job) for job in jobs]
        else:
            # Small inserts wait more than they work: the tables' inserts need not wait for each other.
            dones = list(self._inserts.map(lambda job: self._written(self._clickhouse, job), jobs))
        for job, done in zip(jobs, dones, strict=True):
            self._count(sink, job, done)
        return dones

    def _written(self, sink: ClickHouseSink | LakeSink, job: Job) -> Done:
        sink.write(job)
        crash_point(f"{job.intent.sink}: written")
        return Done(job.intent, time.time_ns(), job.portion.row_count)

    def _count(self, sink: str, job: Job, done: Done) -> None:
        self.metrics.rows[sink][job.intent.topic] += done.rows
        LANDER_ROWS.labels(sink, job.intent.topic).inc(done.rows)
        if sink == CLICKHOUSE:
            for appended_ns, rows in job.portion.appended:
                self._latency.add(done.landed_at_ns - appended_ns, rows)
                LANDER_SECONDS.observe(max(0, done.landed_at_ns - appended_ns) / 1e9)

    def _finish(self, sink: str) -> None:
        """Wait for what the sink writes; its failure ends the lander."""
        running = self._running.pop(sink, None)
        if running is None:
            return
        while not wait([running], _WAIT_S).done:
            if self._stop.is_set():
                self._hurry.set()
        self._dones += running.result()

    def _record(self, intents: list[Intent]) -> None:
        dones, self._dones = self._dones, []
        self._recorder.record(dones, intents)
        for sink in (CLICKHOUSE, LAKE):
            LANDER_OPEN.labels(sink).set(
                sum(one.sink == sink for one in self._recorder.state.open.values())
            )

    def _look_for_topics(self) -> None:
        """Take in topics that were made meanwhile."""
        if time.monotonic() - self._looked_s < _TOPICS_EVERY_S:
            return
        self._looked_s = time.monotonic()
        state = self._recorder.state
        configs = self._log.topics()
        self._lake.note_topics(configs)
        for name, topic, partitions in landed_topics(configs, self._topics):
            sinks = (LAKE,) if topic is None else (CLICKHOUSE, LAKE)
            for partition in range(partitions):
                if (name, partition) in self._cursors:
                    continue
                first = self._log.start(name, partition)
                ends = {sink: state.position(sink, name, partition) for sink in sinks}
                for sink, end in ends.items():
                    self._begun[sink][name, partition] = first if end is None else end
                self._cursors[name, partition] = min(
                    self._begun[sink][name, partition] for sink in sinks
                )

    def _repeat_open(self) -> None:
        """Finish what an earlier run began: the same ranges, tokens and files."""
        for intent in list(self._recorder.state.open.values()):
            topic = self._topics.get(intent.topic)
            portion = portion_of(
                topic, [read_span(self._log, intent.topic, topic, span) for span in intent.spans]
            )
            if intent.sink == CLICKHOUSE:
                self._clickhouse.write(Job(intent, topic, portion), again=True)
            else:
                self._lake.write(Job(intent, topic, portion))
            self._recorder.record([Done(intent, time.time_ns(), portion.row_count)], [])
            log_line.info(
                "landing_repeated",
                sink=intent.sink,
                topic=intent.topic,
                token=intent.token,
                rows=portion.row_count,
            )
            self.metrics.intents_repeated += 1
            LANDER_REPEATED.labels(intent.sink).inc()


def _same(one: list[Piece], other: list[Piece]) -> bool:
    """Whether both are the same pieces, whole: then their table is made once."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
