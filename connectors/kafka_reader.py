"""Reads Kafka partitions: consumers that stay where they were, and a scout for single looks.

A consumer keeps one fetch waiting at the broker, so it sees new records within a millisecond, but it
is slow to move: the fetch that waits must come back first. So consumers are never moved. A reader
serves the positions that follow its own, and another position gets a reader of its own.
"""

import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import repeat
from operator import itemgetter
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka_connection import connected
from connectors.kafka_options import (
    MOVING,
    RIDE_OUT_S,
    TIMEOUT_S,
    consumer_options,
    local_error,
    log_error,
)
from connectors.kafka_outage import answered, is_away
from connectors.log import Chunk, LogError, Record

# Readers that are kept. Each is four threads and up to 16 MiB of prefetched records, and takes some 20 ms to make.
READERS_MAX = 48
_EOF = local_error("PARTITION_EOF")
_UNKNOWN_PARTITION = local_error("UNKNOWN_PARTITION")
# Read on while the broker has nothing: long, since the fetch returns at once when a record comes.
_READER_FETCH_WAIT_MS = 500
# A scout wants to hear soon that there is nothing more.
_SCOUT_FETCH_WAIT_MS = 1
# Messages handed over in one call: the most that pays, as the calls' own cost is gone by then.
_MESSAGES_MAX = 50_000
# Between questions while a partition has no leader to answer them.
_MOVING_S = 0.01
_MOVED_S = 5.0
_NS_PER_MS = 1_000_000


class Reader:
    """A consumer of one partition with the messages it has fetched and not yet given.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    topic, partition, offset
        Where to begin.
    """

    def __init__(self, bootstrap: str, topic: str, partition: int, offset: int) -> None:
        self.topic = topic
        self.partition = partition
        self.position = offset
        self._fetched: list[Message] = []
        self._given = 0
        self._reached = offset
        self._heard_end = False
        self._consumer = Consumer(consumer_options(bootstrap, fetch_wait_ms=_READER_FETCH_WAIT_MS))
        self._consumer.assign([TopicPartition(topic, partition, offset)])

    @property
    def has_records(self) -> bool:
        """Whether records are here to be taken."""
        return self._given < len(self._fetched)

    @property
    def reached(self) -> int:
        """Offset that follows what was fetched or passed (markers have no record)."""
        return self._reached

    @property
    def at_end(self) -> bool:
        """Whether the broker said that there were no records from the position on, when last heard."""
        return self._heard_end and not self.has_records

    def poll(self, timeout_s: float) -> bool:
        """Fetch, where nothing is left; whether there are records, or markers were passed."""
        if not self.has_records:
            messages = _consume(self._consumer, timeout_s)
            self._fetched, self._given = _records_only(messages, self.topic, self.partition), 0
            if messages:
                self._reached = max(self._reached, _after(messages[-1]))
                self._heard_end = messages[-1].error() is not None
        return self.has_records or self._reached > self.position

    def skip_to(self, offset: int) -> None:
        """Pass markers: there is no record from the position up to ``offset``."""
        self._reached = max(self._reached, offset)

    def take(self, max_bytes: int) -> Chunk:
        """The records fetched, up to a size; at least one where there is one."""
        rest = self._fetched[self._given :] if self._given else self._fetched
        messages = _up_to(rest, max_bytes)
        self._given += len(messages)
        if self.has_records:
            self.position = self._fetched[self._given].offset()
        else:
            self._fetched, self._given = [], 0
            self.position = self._reached
        return Chunk(records_of(self.topic, self.partition, messages), self.position)

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()


class ReaderPool:
    """Readers by partition and position, each lent to one thread at a time.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    """

    # Two programs in one process may follow the same partition at their own pace, a few more rarely.
    _IDLE_PER_PARTITION_MAX = 4

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._lock = threading.Lock()
        self._idle: list[Reader] = []  # the least recently used first

    def take(self, topic: str, partition: int, offset: int) -> Reader | None:
        """An idle reader at that position, or None."""
        with self._lock:
            for at, reader in enumerate(self._idle):
                if (reader.position, reader.partition, reader.topic) == (offset, partition, topic):
                    return self._idle.pop(at)
        return None

    def make(self, topic: str, partition: int, offset: int) -> Reader:
        """A new reader."""
        return Reader(self._bootstrap, topic, partition, offset)

    def give_back(self, reader: Reader) -> None:
        """Keep a reader for the next read at its position."""
        with self._lock:
            self._idle.append(reader)
            same = [
                idle
                for idle in self._idle
                if idle.partition == reader.partition and idle.topic == reader.topic
            ]
            surplus = same[: -self._IDLE_PER_PARTITION_MAX]
            if len(self._idle) - len(surplus) > READERS_MAX:
                surplus.append(next(idle for idle in self._idle if idle not in surplus))
            self._idle = [idle for idle in self._idle if idle not in surplus]
        for old in surplus:
            old.close()

    def drop(self, wanted: Callable[[Reader], bool]) -> None:
        """Close idle readers."""
        with self._lock:
            surplus = [reader for reader in self._idle if wanted(reader)]
            self._idle = [reader for reader in self._idle if reader not in surplus]
        for reader in surplus:
            reader.close()


class Scout:
    """One consumer for single looks: the end of a partition, its last records, what markers hide.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    committed : bool
        Whether it sees what is committed only.
    """

    def __init__(self, bootstrap: str, *, committed: bool = True) -> None:
        options = consumer_options(
            bootstrap, fetch_wait_ms=_SCOUT_FETCH_WAIT_MS, committed=committed
        )
        self._consumer = connected(Consumer(options), "offsets")
        self._lock = threading.Lock()
        self._questions = threading.Condition()
        self._open_questions = 0
        self._closed = False

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset kept, and the offset that follows the last visible record or marker."""
        where = f"offsets of {topic}[{partition}]"
        at = TopicPartition(topic, partition)

        def ask() -> tuple[int, int]:
            found: tuple[int, int] | None = None
            deadline = time.monotonic() + _MOVED_S
            # None stands for no answer within the time, which the client says by an exception too.
            while found is None:
                try:
                    with self._question():
                        found = self._consumer.get_watermark_offsets(at, timeout=TIMEOUT_S)
                except KafkaException as exception:
                    error = self._told(exception, at, TIMEOUT_S)
                    # A partition that was just made finds its leader within milliseconds.
                    if error.code() not in MOVING or time.monotonic() > deadline:
                        raise KafkaException(error) from exception
                    time.sleep(_MOVING_S)
            return found

        return answered(ask, where)

    def glimpse(self, topic: str, partition: int, timeout_s: float) -> int | None:
        """The end of a partition; None where no broker says it within a time: nothing is waited out."""
        at = TopicPartition(topic, partition)
        try:
            with self._question():
                found = self._consumer.get_watermark_offsets(at, timeout=timeout_s)
        except KafkaException as exception:
            error = self._told(exception, at, timeout_s)
            if is_away(error):
                return None
            raise log_error(error, f"offsets of {topic}[{partition}]") from exception
        return None if found is None else int(found[1])

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int | None:
        """The first offset whose record has this time or a later one; None where there is none."""
        asked = TopicPartition(topic, partition, time_ms)
        try:
            with self._question():
                (found,) = self._consumer.offsets_for_times([asked], timeout=TIMEOUT_S)
        except KafkaException as error:
            raise log_error(error, f"offset of a time in {topic}[{partition}]") from error
        if found.error is not None:
            raise log_error(
                KafkaException(found.error), f"offset of a time in {topic}[{partition}]"
            )
        return int(found.offset) if found.offset >= 0 else None

    def window(self, topic: str, partition: int, offset: int, end: int) -> list[Record]:
        """Visible records from ``offset`` up to before ``end``, which `bounds` gave."""
        with closing(self._scan(topic, partition, offset, end)) as scan:
            return [record for records in scan for record in records if record.offset < end]

    def next_visible(self, topic: str, partition: int, offset: int, end: int) -> int:
        """Offset of the first visible record from ``offset`` on, or ``end`` where there is none."""
        with closing(self._scan(topic, partition, offset, end)) as scan:
            return next((records[0].offset for records in scan if records), end)

    def _told(self, exception: KafkaException, at: TopicPartition, timeout_s: float) -> KafkaError:
        """The error; where the client knows no partition that the brokers have, none of them leads it for now."""
        error: KafkaError = exception.args[0]
        if error.code() != _UNKNOWN_PARTITION:
            return error
        try:
            with self._question():
                found = self._consumer.list_topics(at.topic, timeout=timeout_s).topics[at.topic]
        except KafkaException as unanswered:
            return unanswered.args[0]
        # A leader that was found meanwhile answers the next question.
        there = found.error is None and at.partition in found.partitions
        return KafkaError(KafkaError.LEADER_NOT_AVAILABLE) if there else error

    def _scan(
        self, topic: str, partition: int, offset: int, end: int
    ) -> Generator[tuple[Record, ...], None, None]:
        deadline = time.monotonic() + RIDE_OUT_S
        with self._lock, self._question():
            self._consumer.assign([TopicPartition(topic, partition, offset)])
            try:
                reached = offset
                while reached < end:
                    self._refuse_closed()
                    messages = _consume(self._consumer, 0.5)
                    if messages:
                        deadline = time.monotonic() + RIDE_OUT_S
                        reached = _after(messages[-1])
                    elif time.monotonic() > deadline:
                        raise LogError(
                            f"read of {topic}[{partition}] from {reached}: there are records up to "
                            f"{end}, and the broker sent none in {RIDE_OUT_S:.0f} s; a transaction "
                            "that never ends may hide them: see 'Which Kafka' in docs/kafka.md"
                        )
                    fetched = _records_only(messages, topic, partition)
                    yield records_of(topic, partition, fetched)
            finally:
                # With nothing assigned it fetches nothing.
                self._consumer.unassign()

    def close(self) -> None:
        """End the consumer, once nobody asks it anything any more."""
        with self._questions:
            self._closed = True
            self._questions.wait_for(lambda: not self._open_questions, TIMEOUT_S)
        self._consumer.close()

    @contextmanager
    def _question(self) -> Iterator[None]:
        # A consumer that is closed under a question of another thread answers it after its whole time: a program
        # that was fenced while it appended a snapshot took half a minute to end.
        with self._questions:
            self._refuse_closed()
            self._open_questions += 1
        try:
            yield
        finally:
            with self._questions:
                self._open_questions -= 1
                self._questions.notify_all()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LogError("the log was closed")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the garbage collector while thousands of records are made.

    They form no cycles, but each few hundred of them would start a collection that looks at the older
    ones again: it took up to half of the time of reading small records.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def records_of(topic: str, partition: int, messages: list[Message]) -> tuple[Record, ...]:
    """Messages of one partition as records.

    The fields are set column by column: that takes about half as long as the constructor of a frozen
    dataclass, and an inbox brings hundreds of thousands of records a second.
    """
    headers = _all_headers(messages)
    records = tuple(map(object.__new__, repeat(Record, len(messages))))
    columns: dict[str, Iterable[Any]] = {
        "topic": repeat(topic),
        "partition": repeat(partition),
        "offset": map(Message.offset, messages),
        "append_time_ns": map(
            _NS_PER_MS.__mul__, map(itemgetter(1), map(Message.timestamp, messages))
        ),
        "key": map(Message.key, messages),
        "headers": map(_headers, headers) if any(headers) else repeat(()),
        "value": map(Message.value, messages),
    }
    for name, column in columns.items():
        setter = getattr(Record, name).__set__
        deque(map(setter, records, column), maxlen=0)
    return records


def _after(message: Message) -> int:
    # The message that tells of the partition's end has the end's own offset.
    offset: int = message.offset()
    return offset + 1 if message.error() is None else offset


def _all_headers(messages: list[Message]) -> list[Any]:
    found: list[Any] = []
    rest = map(Message.headers, messages)
    while len(found) < len(messages):
        try:
            found.extend(rest)
        except SystemError:
            # A name that is no UTF-8 (Kafka's may be any bytes): the client can neither give it nor say so, and asked
            # again would give what no one may touch. The record goes on without its headers.
            found.append(None)
    return found


def _headers(found: list[tuple[str, bytes | None]] | None) -> tuple[tuple[str, bytes], ...]:
    # Others may write a header without a value; the contract knows only bytes.
    return tuple((name, value or b"") for name, value in found) if found else ()


def _consume(consumer: Consumer, timeout_s: float) -> list[Message]:
    # `consume` with a timeout waits for all the messages it was asked for; `poll` for one.
    messages: list[Message] = consumer.consume(_MESSAGES_MAX, 0)
    if messages or not timeout_s:
        return messages
    first = consumer.poll(timeout_s)
    return [] if first is None else [first, *consumer.consume(_MESSAGES_MAX, 0)]


def _records_only(messages: list[Message], topic: str, partition: int) -> list[Message]:
    errors = [error for error in map(Message.error, messages) if error is not None]
    if not errors:
        return messages
    for error in errors:
        if error.code() != _EOF:
            raise log_error(error, f"read of {topic}[{partition}]")
    return [message for message in messages if message.error() is None]


def _up_to(messages: list[Message], max_bytes: int) -> list[Message]:
    if sum(map(len, messages)) <= max_bytes:
        return messages
    size = 0
    for count, message in enumerate(messages):
        size += len(message)
        if size > max_bytes:
            return messages[: max(count, 1)]
    return messages
