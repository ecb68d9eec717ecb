"""The fenced, atomic writer on Kafka: one transactional identifier a writer name.

Kafka fences older copies. The commit numbers are kept in `WRITERS_TOPIC`, keyed by writer name and
written in the same transaction as the records, so a commit and its number are there together or not. Beside
the number stands which copy of the writer wrote it, from its opening on: Kafka also fences a writer whose
transaction ran out of time while the brokers were away, and that one may open again and go on.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import uuid4

from connectors.kafka_outage import UnansweredError, riding_out
from connectors.kafka_scout import Scout
from connectors.kafka_transaction import InterruptedTransactionError, TransactionSession
from connectors.kafka_visibility import VisibleBounds
from connectors.log import (
    FencedError,
    LogError,
    NewRecord,
    Record,
    UnknownTopicError,
    Writer,
)
from connectors.patience import GivenUpError
from schemas.partition import partition_of

# The log's own bookkeeping, not a topic that `Log.topics` lists.
WRITERS_TOPIC = "_writers"
# A writer's open transaction hides later records of its partition: with several, writers that open
# at the same time rarely wait for each other.
WRITERS_PARTITIONS = 8
# Compaction leaves the last number of each writer; small segments, since the newest is never compacted.
WRITERS_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(4 << 20),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "message.timestamp.type": "LogAppendTime",
}
# Looked at from the end: a writer's last number is nearly always among the newest.
_FIRST_WINDOW = 256


class KafkaWriter(Writer):
    """A writer of a Kafka log; `connectors.kafka.KafkaLog.writer` opens it.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    name : str
        Of the writer.
    check : callable
        Raises where a record's topic or partition is unknown.
    visible : VisibleBounds
        Told of what was committed.
    """

    def __init__(
        self,
        bootstrap: str,
        name: str,
        *,
        check: Callable[[Sequence[NewRecord]], None],
        visible: VisibleBounds,
    ) -> None:
        self.name = name
        self._bootstrap = bootstrap
        self._check = check
        self._visible = visible
        self._written: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._end: LogError | None = None
        self._partition = partition_of(name, WRITERS_PARTITIONS)
        # Of this copy: the newest one in the log is the one that may write.
        self._token = uuid4().hex
        self._session, self._number = self._claimed()

    @property
    def number(self) -> int:
        """Number of the last commit of this name; 0 before the first."""
        return self._number

    def commit(self, records: Sequence[NewRecord], number: int) -> list[int]:
        """Append records to any topics, all or none, as commit ``number``."""
        with self._lock:
            if self._end is not None:
                raise type(self._end)(f"{self._where} has ended: {self._end}") from self._end
            if number != self._number + 1:
                raise FencedError(
                    f"{self._where}: commit {number} was given where {self._number + 1} is next; "
                    "another copy of it committed meanwhile, or a commit was left out"
                )
            self._check(records)
            offsets = self._committed(records, number)
            self._number = number
            self._visible.note(records, offsets)
            self._written = {(record.topic, record.partition) for record in records}
            return offsets

    def close(self) -> None:
        """End the writer, once everyone sees what it committed; a commit after this is an error."""
        with self._lock:
            if self._end is None:
                self._end = LogError("it was closed")
                self._await_visible()
            self._session.close()

    def _await_visible(self) -> None:
        # Whoever starts when this process has ended must find its output.
        for topic, partition in sorted(self._written):
            try:
                self._visible.await_visible(topic, partition)
            except UnknownTopicError:
                # Deleted meanwhile: there is nothing to be seen.
                continue

    @property
    def _where(self) -> str:
        return f"writer {self.name!r}"

    def _committed(self, records: Sequence[NewRecord], number: int) -> list[int]:
        wanted = [*records, self._marker(number)]
        try:
            return self._session.run(wanted)[:-1]
        except InterruptedTransactionError as error:
            return self._after(error, wanted, number)[:-1]

    def _after(
        self, interrupted: InterruptedTransactionError, wanted: list[NewRecord], number: int
    ) -> list[int]:
        """Go on behind an outage: find out who may write and what took place, and do what did not."""
        last = interrupted

        def again() -> list[int]:
            nonlocal last
            # Asked first too, so that a newer copy is not disturbed by one that was asleep.
            self._refuse_newer(last)
            self._session.close()
            self._session = self._opened()
            found = self._refuse_newer(last)
            if found.number == number and last.offsets is not None:
                return last.offsets
            if last.refused is not None:
                raise last.refused
            try:
                return self._session.run(wanted)
            except InterruptedTransactionError as error:
                last = error
                raise

        def passing(error: Exception) -> str | None:
            if error is last.refused:
                return None
            if isinstance(error, (InterruptedTransactionError, UnansweredError)):
                return "no_answer"
            # Brokers that have just come up do not know their topics yet.
            return "no_topic" if isinstance(error, UnknownTopicError) else None

        try:
            return riding_out().run(again, (LogError,), passing)
        except GivenUpError as error:
            raise self._ended(
                LogError(
                    f"{self._where}, commit {number}: Kafka did not take it for {error.failing_s:.0f} s "
                    f"({error.__cause__}); start again when its brokers are up, the log knows whether "
                    "it took place"
                )
            ) from error
        except FencedError as error:
            raise self._ended(error) from error.__cause__

    def _refuse_newer(self, interrupted: InterruptedTransactionError) -> "_Last":
        found = self._last()
        if found.token != self._token:
            raise FencedError(
                f"{self._where}: {interrupted}; a newer copy of the writer is at work: end this one"
            ) from interrupted
        return found

    def _claimed(self) -> tuple[TransactionSession, int]:
        """A session that the log names as the writer's, and the number of the last commit."""

        def claim() -> tuple[TransactionSession, int]:
            session = self._opened()
            with ExitStack() as undo:
                undo.callback(session.close)
                number = self._last().number
                session.run([self._marker(number)])
                undo.pop_all()
            return session, number

        def passing(error: Exception) -> str | None:
            # While copies fence each other, a broker now and then fails by itself (UNKNOWN_SERVER_ERROR).
            return None if isinstance(error.__cause__, FencedError) else "no_answer"

        try:
            return riding_out().run(claim, (InterruptedTransactionError,), passing)
        except GivenUpError as error:
            raise LogError(f"opening {self._where}: {error.__cause__}") from error
        except InterruptedTransactionError as error:
            raise FencedError(f"{self._where}: {error}") from error

    def _marker(self, number: int) -> NewRecord:
        return NewRecord(
            topic=WRITERS_TOPIC,
            partition=self._partition,
            key=self.name.encode(),
            value=f"{number} {self._token}".encode(),
        )

    def _opened(self) -> TransactionSession:
        return TransactionSession(self._bootstrap, f"tapeflow.{self.name}", self._where)

    def _last(self) -> "_Last":
        return _last(self._bootstrap, self.name, self._partition)

    def _ended(self, error: LogError) -> LogError:
        self._end = error
        return error


@dataclass(frozen=True)
class _Last:
    """The newest bookkeeping of a writer: the number of its last commit, and which copy wrote it."""

    number: int = 0
    token: str = ""


def _last(bootstrap: str, name: str, partition: int) -> _Last:
    def wanted(record: Record) -> bool:
        return record.key == name.encode()

    uncommitted, committed = Scout(bootstrap, committed=False), Scout(bootstrap)
    try:
        # Another writer's open transaction hides what was committed behind its first record. So the end
        # is the one that counts open transactions too, and where something of ours is hidden, the search waits
        # until all up to it is visible: at the latest when those transactions' time is over. One that was killed
        # together with others does not wait for theirs: they are opened behind it, as often as not.
        start, end = uncommitted.bounds(WRITERS_TOPIC, partition)
        _, seen = committed.bounds(WRITERS_TOPIC, partition)
        if seen < end and not any(
            wanted(record) for record in uncommitted.window(WRITERS_TOPIC, partition, seen, end)
        ):
            end = seen
        last = last_record(
            committed,
            topic=WRITERS_TOPIC,
            partition=partition,
            bounds=(start, end),
            wanted=wanted,
        )
    finally:
        uncommitted.close()
        committed.close()
    if last is None:
        return _Last()
    number, _, token = (last.value or b"0").decode().partition(" ")
    return _Last(int(number), token)


def last_record(
    scout: Scout,
    *,
    topic: str,
    partition: int,
    bounds: tuple[int, int],
    wanted: Callable[[Record], bool],
) -> Record | None:
    """The newest record that is wanted, looked for from the end backwards in growing windows."""
    start, end = bounds
    window = _FIRST_WINDOW
    while end > start:
        begin = max(start, end - window)
        for record in reversed(scout.window(topic, partition, begin, end)):
            if wanted(record):
                return record
        end, window = begin, window * 8
    return None
