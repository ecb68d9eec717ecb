"""What a replay is made of: tasks that need nothing but where the logs are, so that any process can do them."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from connectors.log import Log, open_log
from connectors.records import decode_rows, is_rows
from connectors.run_log import RunLog
from connectors.scan import scan_records
from flows.catalog import catalog
from flows.engines.compare import Comparison, compared, summaries
from flows.engines.compared_rows import (
    ComputedRows,
    Found,
    LoggedRows,
    Membership,
    RowSource,
    within,
)
from flows.engines.run_stages import Stage, run_stages
from flows.engines.segments import Segment
from flows.engines.sides import Side, Summary
from flows.engines.stretches import Stretch
from schemas.digest import DigestSum, row_digests
from schemas.registry import TOPICS

# Rows done, and input records passed.
Tell = Callable[[int, int], None]
# Flow and shard.
ShardOf = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class LogAt:
    """A log that any process can open.

    Parameters
    ----------
    url : str
        The live log's, or a lake's.
    run : str
        Name of the run that is read or written beside it; none where empty.
    kept_in : str
        URL of the log that keeps the run.
    own : frozenset of str or None
        Topics of the run's own; None: the run alone, and nothing of ``url``.
    begun_ns : int
        When the run began; needed where it is written.
    """

    url: str
    run: str = ""
    kept_in: str = ""
    own: frozenset[str] | None = None
    begun_ns: int = 0


class Logs:
    """Logs that are open in this process, each once. To be closed, or used in a ``with``.

    Parameters
    ----------
    open_already : Log
        Logs that others have opened, and close.
    """

    def __init__(self, *open_already: Log) -> None:
        self._known = {log.url: log for log in open_already}
        self._stack = ExitStack()

    def at(self, where: LogAt) -> Log:
        """The log that is there."""
        if not where.run:
            return self._by_url(where.url)
        live = None if where.own is None else self._by_url(where.url)
        kept_in = self._by_url(where.kept_in)
        return RunLog(where.run, kept_in, live, where.own, begun_ns=where.begun_ns)

    def close(self) -> None:
        """Close those that this has opened."""
        self._stack.close()
        self._known.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _by_url(self, url: str) -> Log:
        if url not in self._known:
            self._known[url] = self._stack.enter_context(open_log(url))
        return self._known[url]


@dataclass(frozen=True, kw_only=True)
class Compute:
    """Compute a stretch again and sum up what it gives."""

    log: LogAt
    stretch: Stretch

    @property
    def name(self) -> str:
        """Flow and shard."""
        return f"{self.stretch.flow}/{self.stretch.shard}"

    @property
    def records(self) -> int:
        """Input records, for the percentage."""
        if self.stretch.start is not None:
            begin = self.stretch.start.positions
        else:
            begin = self.stretch.parts[0].epoch.begin
        return sum(
            end - begin.get(topic, {}).get(partition, end)
            for topic, places in self.stretch.end.items()
            for partition, end in places.items()
        )

    def run(self, logs: Logs, tell: Tell) -> dict[str, Summary]:
        """Topic to what the shard gives."""
        told = _Offsets(tell)
        log = logs.at(self.log)
        kind = catalog()[self.stretch.flow]
        return summaries(ComputedRows(log, kind, self.stretch, told.segment))


@dataclass(frozen=True, kw_only=True)
class SumUp:
    """Read one partition of an output topic once, and sum up what each shard has written."""

    log: LogAt
    topic: str
    partition: int
    stretches: tuple[Stretch, ...]
    records: int

    @property
    def name(self) -> str:
        """Topic and partition."""
        return f"{self.topic}[{self.partition}]"

    def run(self, logs: Logs, tell: Tell) -> dict[ShardOf, Summary]:
        """Flow and shard to what it has in the partition."""
        topic = TOPICS[self.topic]
        known = catalog()
        sides: dict[ShardOf, Side] = {}
        log = logs.at(self.log)
        wanted = [(one, Membership(log, known[one.flow], one)) for one in self.stretches]
        for record in scan_records(log, self.topic, self.partition):
            tell(0, 1)
            if not is_rows(record):
                continue
            for stretch, within_stretch in wanted:
                if not within_stretch.has(record):
                    continue
                whole = Found(topic=topic, batch=decode_rows(topic, record), record=record)
                for found in within(stretch, whole):
                    side = sides.setdefault((stretch.flow, stretch.shard), Side(topic))
                    side.add(found.batch)
                    tell(found.batch.num_rows, 0)
        return {shard: side.summary() for shard, side in sides.items()}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Count rows, digest and bytes of a partition of a run."""

    log: LogAt
    topic: str
    partition: int
    records: int = 0

    @property
    def name(self) -> str:
        """Topic and partition."""
        return f"{self.topic}[{self.partition}] counted"

    def run(self, logs: Logs, tell: Tell) -> tuple[int, int, int]:
        """Rows, their sum (as of `DigestSum`), and bytes."""
        total = DigestSum()
        size = 0
        log = logs.at(self.log)
        for record in scan_records(log, self.topic, self.partition):
            size += len(record.value or b"")
            if is_rows(record):
                topic = TOPICS[self.topic]
                digests = row_digests(topic, decode_rows(topic, record))
                total.add(digests)
                tell(len(digests), 0)
        return total.rows, total.total, size


@dataclass(frozen=True, kw_only=True)
class RowsAt:
    """One side of a shard: computed again, or as a log has it; with its summaries."""

    log: LogAt
    stretch: Stretch
    computed: bool
    summaries: Mapping[str, Summary] = field(default_factory=dict)

    def source(self, log: Log) -> RowSource:
        """Its rows."""
        kind = catalog()[self.stretch.flow]
        return (ComputedRows if self.computed else LoggedRows)(log, kind, self.stretch)


@dataclass(frozen=True, kw_only=True)
class Explain:
    """Compare the summaries of a shard's two sides; where they differ, read the rows again and say how.

    ``records`` is 0 where they do not.
    """

    left: RowsAt
    right: RowsAt
    records: int = 0

    @property
    def name(self) -> str:
        """Flow and shard."""
        return f"{self.left.stretch.flow}/{self.left.stretch.shard}: where they differ"

    def run(self, logs: Logs, tell: Tell) -> list[Comparison]:
        """One comparison for each topic that either side has rows of."""
        stretch = self.left.stretch
        left, right = logs.at(self.left.log), logs.at(self.right.log)
        found = compared(
            catalog()[stretch.flow],
            stretch.shard,
            (self.left.source(left), self.left.summaries),
            (self.right.source(right), self.right.summaries),
            # A run has all commits; what it is compared with may begin behind a cut.
            since=stretch.since or self.right.stretch.since,
        )
        tell(0, self.records)
        return found


@dataclass(frozen=True, kw_only=True)
class ComputeRun:
    """Compute a shard's part of a run."""

    log: LogAt
    flow: str
    shard: int
    stages: tuple[Stage, ...]

    @property
    def name(self) -> str:
        """Flow and shard."""
        return f"{self.flow}/{self.shard} into {self.log.run}"

    @property
    def records(self) -> int:
        """Input records of the live log, for the percentage."""
        own = self.log.own or frozenset()
        return sum(
            end - self.stages[0].begin.get(topic, {}).get(partition, end)
            for topic, places in self.stages[-1].marks[-1].items()
            if topic not in own
            for partition, end in places.items()
        )

    def run(self, logs: Logs, tell: Tell) -> int:
        """The rows read."""
        log = logs.at(self.log)
        assert isinstance(log, RunLog)  # noqa: S101 - a task of a run has its name
        return run_stages(log, catalog()[self.flow], self.shard, self.stages, tell)


class _Offsets:
    """Turns segments into rows done and records passed."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last: dict[tuple[str, int], int] = {}

    def segment(self, name: str, segment: Segment) -> None:
        """Take a segment that was computed."""
        rows = segment.rows
        if rows is None:
            self._tell(0, 1)
            return
        where, last = (name, rows.partition), int(rows.offset[-1])
        passed = last - self._last.get(where, int(rows.offset[0]) - 1)
        self._last[where] = last
        self._tell(rows.batch.num_rows, max(passed, 0))
