"""Reads Kafka partitions: consumers that stay where they were.

A consumer keeps one fetch waiting at the broker, so it sees new records within a millisecond, but it
is slow to move: the fetch that waits must come back first. So consumers are never moved. A reader
serves the positions that follow its own, and another position gets a reader of its own.
"""

import threading
from collections.abc import Callable

from confluent_kafka import Consumer, Message, TopicPartition

from connectors.kafka_options import consumer_options
from connectors.kafka_records import after, consume, records_of, records_only
from connectors.log import Chunk

# Readers that are kept. Each is four threads and up to 16 MiB of prefetched records, and takes some 20 ms to make.
READERS_MAX = 48
# Read on while the broker has nothing: long, since the fetch returns at once when a record comes.
_FETCH_WAIT_MS = 500


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
        self._consumer = Consumer(consumer_options(bootstrap, fetch_wait_ms=_FETCH_WAIT_MS))
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
            messages = consume(self._consumer, timeout_s)
            self._fetched, self._given = records_only(messages, self.topic, self.partition), 0
            if messages:
                self._reached = max(self._reached, after(messages[-1]))
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


def _up_to(messages: list[Message], max_bytes: int) -> list[Message]:
    if sum(map(len, messages)) <= max_bytes:
        return messages
    size = 0
    for count, message in enumerate(messages):
        size += len(message)
        if size > max_bytes:
            return messages[: max(count, 1)]
    return messages
