"""The fenced, atomic writer on Kafka: one transactional identifier a writer name.

Kafka fences older copies. The commit numbers are kept in `WRITERS_TOPIC`, keyed by writer name and
written in the same transaction as the records, so a commit and its number are there together or not.
"""

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException

from connectors.crash_points import crash_point
from connectors.kafka_options import (
    TIMEOUT_S,
    log_error,
    transaction_options,
)
from connectors.kafka_producer import connected_producer, send
from connectors.kafka_reader import Scout
from connectors.kafka_visibility import VisibleBounds
from connectors.log import (
    FencedError,
    LogError,
    NewRecord,
    Record,
    UnknownTopicError,
    Writer,
)
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
# The coordinator may be loading, or ending the transaction of a copy that was killed.
_OPEN_TIMEOUT_S = 60.0
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
        self._check = check
        self._visible = visible
        self._written: set[tuple[str, int]] = set()
        self._lock = threading.Lock()
        self._end: LogError | None = None
        self._producer = connected_producer(transaction_options(bootstrap, f"tapeflow.{name}"))
        self._partition = partition_of(name, WRITERS_PARTITIONS)
        self._fence_earlier_copies()
        self._number = _last_number(bootstrap, name, self._partition)

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
            offsets = self._transaction(records, number)
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
            # What a failed transaction left is not to be sent any more.
            self._producer.purge()
            self._producer.flush(0)

    def _await_visible(self) -> None:
        # Whoever starts when this process has ended must find its output.
        for topic, partition in sorted(self._written):
            try:
                self._visible.of(topic, partition)
            except UnknownTopicError:
                # Deleted meanwhile: there is nothing to be seen.
                continue

    @property
    def _where(self) -> str:
        return f"writer {self.name!r}"

    def _transaction(self, records: Sequence[NewRecord], number: int) -> list[int]:
        marker = NewRecord(
            topic=WRITERS_TOPIC,
            partition=self._partition,
            key=self.name.encode(),
            value=str(number).encode(),
        )
        try:
            self._producer.begin_transaction()
        except KafkaException as error:
            raise self._ended(log_error(error, f"{self._where}, commit {number}")) from error
        try:
            offsets = send(self._producer, [*records, marker], f"{self._where}, commit {number}")
        except FencedError as error:
            raise self._ended(error) from error.__cause__
        except LogError as error:
            self._abort(error)
            raise
        crash_point("kafka: records sent")
        self._end_transaction(number)
        crash_point("kafka: committed")
        return offsets[:-1]

    def _end_transaction(self, number: int) -> None:
        where = f"{self._where}, commit {number}"
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                # Called again after a time-out, it goes on with the same commit and tells its outcome.
                self._producer.commit_transaction(TIMEOUT_S)
            except KafkaException as exception:
                error = exception.args[0]
                if error.txn_requires_abort():
                    failure = log_error(error, where)
                    self._abort(failure)
                    raise failure from exception
                if error.retriable() and time.monotonic() < deadline:
                    continue
                if error.retriable():
                    raise self._ended(
                        LogError(
                            f"{where}: the broker did not say within {TIMEOUT_S} s whether it took "
                            "place; open the writer again, its number tells"
                        )
                    ) from exception
                raise self._ended(log_error(error, where)) from exception
            else:
                return

    def _abort(self, cause: LogError) -> None:
        """Undo the open transaction; the writer goes on, unless it was fenced or cannot say."""
        while True:
            try:
                self._producer.abort_transaction(TIMEOUT_S)
            except KafkaException as exception:
                error = exception.args[0]
                if error.retriable() and not error.fatal():
                    continue
                raise self._ended(log_error(error, f"{self._where}, after: {cause}")) from cause
            else:
                return

    def _ended(self, error: LogError) -> LogError:
        self._end = error
        return error

    def _fence_earlier_copies(self) -> None:
        deadline = time.monotonic() + _OPEN_TIMEOUT_S
        while True:
            try:
                self._producer.init_transactions(TIMEOUT_S)
            except KafkaException as exception:
                if exception.args[0].retriable() and time.monotonic() < deadline:
                    continue
                raise log_error(exception, f"opening {self._where}") from exception
            else:
                return


def _last_number(bootstrap: str, name: str, partition: int) -> int:
    """The number of the last commit under a name; 0 where there is none."""
    uncommitted, committed = Scout(bootstrap, committed=False), Scout(bootstrap)
    try:
        # Another writer's open transaction hides what was committed behind its first record. So the end
        # is the one that counts open transactions too, and the search waits until all up to it is
        # visible: at the latest when those transactions' time is over.
        start, end = uncommitted.bounds(WRITERS_TOPIC, partition)
        last = last_record(
            committed,
            topic=WRITERS_TOPIC,
            partition=partition,
            bounds=(start, end),
            wanted=lambda record: record.key == name.encode(),
        )
        return 0 if last is None else int(last.value or b"0")
    finally:
        uncommitted.close()
        committed.close()


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
