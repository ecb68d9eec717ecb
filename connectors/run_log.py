"""A log beside the live one: what a replay writes goes to topics of its run, everything else is read through.

A topic ``bars`` of the run ``trial`` is ``run.trial.bars`` in the log that keeps runs. Nothing is ever written to
a topic without that prefix.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from connectors.log import Chunk, Log, LogError, NewRecord, Record, TopicConfig, Writer

# Holds what a run is of: its arguments when it begins, its receipts when it is done.
MANIFEST_TOPIC = "_run"
_PREFIX = "run."
# Part of topic names, of a ClickHouse database's and of a folder's.
_NAME = re.compile(r"[a-z](?:[a-z0-9_]{0,38}[a-z0-9])?")


def check_run_name(name: str, taken: Collection[str] = ()) -> str:
    """The name, if a run may have it.

    Raises
    ------
    LogError
        For a name that is taken by something else, or that not everything may be called by.
    """
    if name == "live" or name in taken:
        raise LogError(f"run {name!r}: that is the name of something else; take another")
    if _NAME.fullmatch(name) is None:
        raise LogError(
            f"run {name!r}: a name of 1 to 40 letters a to z, digits and underscores is needed, such as "
            "'trial_2'; it begins with a letter and does not end with an underscore"
        )
    return name


def run_topic(run: str, name: str) -> str:
    """Name of a run's topic in the log that keeps it."""
    return f"{_PREFIX}{run}.{name}"


def topics_of_run(log: Log, run: str) -> dict[str, TopicConfig]:
    """A run's topics, by their names without the run's."""
    prefix = run_topic(run, "")
    return {
        name.removeprefix(prefix): replace(config, name=name.removeprefix(prefix))
        for name, config in log.topics().items()
        if name.startswith(prefix)
    }


def run_names(log: Log) -> list[str]:
    """Names of the runs that a log keeps, in order."""
    found = (name.split(".", 2) for name in log.topics() if name.startswith(_PREFIX))
    return sorted({parts[1] for parts in found if len(parts) == 3})  # run.NAME.TOPIC


class RunLog(Log):
    """A run's topics and the live log's as one log, in which only the run's can be written.

    Parameters
    ----------
    run : str
        Name of the run.
    kept_in : Log
        Where the run's topics are; stays open when this is closed.
    live : Log or None
        Where all other topics are read; stays open, too. Kept as ``live``.
    own : collection of str or None
        Names that mean topics of the run, whether they are there yet or not; None for every name.
    begun_ns : int
        When the run began: part of its writers' names. The log knows a writer's number for good, and a run that was
        dropped and is made again begins with its first commit.

    Attributes
    ----------
    begins, ends : dict of (topic, partition) to offset
        Where live partitions begin and end, as far as this log's readers can see: a run is of a stretch of the
        log, which goes on meanwhile.
    """

    def __init__(
        self,
        run: str,
        kept_in: Log,
        live: Log | None = None,
        own: Collection[str] | None = None,
        *,
        begun_ns: int = 0,
    ) -> None:
        self.run = run
        self.url = f"{kept_in.url} (run {run})"
        self.begins: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self._kept_in = kept_in
        self._begun_ns = begun_ns
        self.live = live
        self._own = None if own is None else frozenset(own)

    def create_topic(self, config: TopicConfig) -> None:
        """Make a topic of the run."""
        self._refuse_live([config.name])
        self._kept_in.create_topic(replace(config, name=run_topic(self.run, config.name)))

    def topics(self) -> dict[str, TopicConfig]:
        """The topics by name: the run's in place of live ones of the same name."""
        mine = {
            name: config
            for name, config in topics_of_run(self._kept_in, self.run).items()
            if self.is_own(name)
        }
        live = {} if self.live is None else self.live.topics()
        others = {
            name: config
            for name, config in live.items()
            if not self.is_own(name) and not name.startswith(_PREFIX)
        }
        return dict(sorted({**others, **mine}.items()))

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append records to topics of the run."""
        return self._kept_in.append(self.renamed(records))

    def writer(self, name: str) -> Writer:
        """Open a writer of the run, fencing every earlier copy of the same name in the same run."""
        own = run_topic(self.run, f"{name}@{self._begun_ns}")
        return _RunWriter(self, name, self._kept_in.writer(own))

    def read(self, topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        """Committed records from ``offset`` on, none of them at or beyond the end set in ``ends``."""
        if self.is_own(topic):
            name = run_topic(self.run, topic)
            chunk = self._kept_in.read(name, partition, offset, max_bytes=max_bytes)
            records = tuple(replace(record, topic=topic) for record in chunk.records)
            return Chunk(records, chunk.next_offset)
        end = self.ends.get((topic, partition))
        if end is not None and offset >= end:
            return Chunk((), offset)
        chunk = self._source(topic).read(topic, partition, offset, max_bytes=max_bytes)
        if end is None or chunk.next_offset <= end:
            return chunk
        return Chunk(tuple(one for one in chunk.records if one.offset < end), end)

    def start(self, topic: str, partition: int) -> int:
        """The first offset kept, or the one set in ``begins`` if that is later."""
        start = self._source(topic).start(self._name(topic), partition)
        return max(start, self.begins.get((topic, partition), start))

    def end(self, topic: str, partition: int) -> int:
        """The offset that follows the last committed record, or the end set in ``ends``."""
        end = self._source(topic).end(self._name(topic), partition)
        return min(end, self.ends.get((topic, partition), end))

    def last(self, topic: str, partition: int) -> Record | None:
        """The newest committed record, or None; of a live topic whatever ``ends`` says."""
        found = self._source(topic).last(self._name(topic), partition)
        return None if found is None else replace(found, topic=topic)

    def wait(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """Sleep until a partition may have a record at or beyond its position, or the time is over."""
        if any(self.end(*where) > offset for where, offset in positions.items()):
            return True
        own = {
            (run_topic(self.run, topic), partition): offset
            for (topic, partition), offset in positions.items()
            if self.is_own(topic)
        }
        return self._kept_in.wait(own, timeout_s)

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Cut the first records of a topic of the run."""
        self._refuse_live([topic])
        self._kept_in.trim(run_topic(self.run, topic), partition, before)

    def delete_topic(self, name: str) -> None:
        """Delete a topic of the run."""
        self._refuse_live([name])
        self._kept_in.delete_topic(run_topic(self.run, name))

    def close(self) -> None:
        """Nothing: the logs that this is made of are their opener's."""

    def renamed(self, records: Sequence[NewRecord]) -> list[NewRecord]:
        """Records as the log that keeps the run takes them.

        Raises
        ------
        LogError
            Where one of them is of a live topic.
        """
        self._refuse_live(record.topic for record in records)
        return [replace(record, topic=run_topic(self.run, record.topic)) for record in records]

    def is_own(self, topic: str) -> bool:
        """Whether a name means a topic of the run."""
        return self._own is None or topic in self._own

    def _name(self, topic: str) -> str:
        return run_topic(self.run, topic) if self.is_own(topic) else topic

    def _source(self, topic: str) -> Log:
        if self.is_own(topic) or self.live is None:
            return self._kept_in
        return self.live

    def _refuse_live(self, names: Iterable[str]) -> None:
        live = sorted({name for name in names if not self.is_own(name)})
        if live:
            raise LogError(
                f"run {self.run!r}: {', '.join(live)} of the live log was to be written; a replay writes "
                "topics of its run only. This is a fault in the program: report it"
            )


class _RunWriter(Writer):
    """A writer whose records go to topics of the run."""

    def __init__(self, log: RunLog, name: str, writer: Writer) -> None:
        self.name = name
        self._log = log
        self._writer = writer

    @property
    def number(self) -> int:
        """Number of the last commit of this name in the run."""
        return self._writer.number

    def commit(self, records: Sequence[NewRecord], number: int) -> list[int]:
        """Append records to topics of the run, all or none, as commit ``number``."""
        return self._writer.commit(self._log.renamed(records), number)

    def close(self) -> None:
        """Give the writer's resources back."""
        self._writer.close()
