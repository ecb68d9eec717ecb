"""The topic log on Apache Kafka, through confluent-kafka.

Offsets have gaps where transactions ended (their markers have offsets too), and readers see committed
records only: a partition ends, for us, where its first open transaction begins.
"""

import threading
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka_connection import connected
from connectors.kafka_ends import Ends
from connectors.kafka_groups import GroupOffsets
from connectors.kafka_options import (
    RIDE_OUT_S,
    TIMEOUT_S,
    addresses,
    client_options,
    log_error,
    producer_options,
)
from connectors.kafka_outage import Absence
from connectors.kafka_producer import send
from connectors.kafka_reader import READERS_MAX, Reader, ReaderPool
from connectors.kafka_records import collector_paused
from connectors.kafka_scout import Scout
from connectors.kafka_topics import Topics
from connectors.kafka_unended import UnendedWatch, unended
from connectors.kafka_visibility import VisibleBounds
from connectors.kafka_writer import KafkaWriter, last_record
from connectors.log import (
    SAMPLES,
    Chunk,
    Log,
    LogError,
    NewRecord,
    Record,
    Stretch,
    TopicConfig,
    TruncatedError,
    Writer,
)

# Between looks at several partitions: fetches wait at the broker and fill our queues by themselves,
# so a look costs microseconds and this is all the latency it adds.
_LOOK_S = 0.001
# After so many looks nothing is due any moment; 4 ms halve the cost of an idle process again and again.
_LOOKS_BEFORE_REST = 250
_REST_S = 0.004
# Between questions for the ends of more partitions than there are readers for: each takes this process and the
# broker two milliseconds.
_ASK_S = 0.05
# A broker that is well answers a question in a millisecond, a busy one in less than this.
_GLIMPSE_S = 0.5
_GLIMPSE_MOST_S = 2.0
# Records that are there come within this; where none does, markers may be all there is.
_PROMPT_S = 0.01
_STRETCHES = 4


class KafkaLog(Log):
    """A log in a Kafka cluster.

    Parameters
    ----------
    url : str
        ``kafka://host:port[,host:port]``.

    Raises
    ------
    LogError
        Where the URL is none or no broker answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._bootstrap = addresses(url)
        self._topics = Topics(self._bootstrap)
        self._admin = AdminClient(client_options(self._bootstrap))
        self._ends = Ends(self._admin)
        self._scout = Scout(self._bootstrap)
        self._visible = VisibleBounds(self._scout)
        self._readers = ReaderPool(self._bootstrap)
        self._groups = GroupOffsets(self._bootstrap)
        self._unended = UnendedWatch(self._ends)
        self._absence = Absence("waiting for records")
        self._lock = threading.Lock()
        self._producers: list[Producer] = []

    def create_topic(self, config: TopicConfig) -> None:
        """Make a topic if it is not there."""
        self.create_topics([config])

    def create_topics(self, configs: Sequence[TopicConfig]) -> None:
        """Make the topics that are not there: dozens take hardly longer than one."""
        made = self._topics.create(configs)
        # Their leaders take a moment to know that they lead; until then a plain producer's first
        # records are refused, sent again, and so reordered.
        self._ends.await_leaders(
            [(one.name, partition) for one in made for partition in range(one.partitions)]
        )

    def topics(self) -> dict[str, TopicConfig]:
        """The topics by name, control topics included, in order of name."""
        return self._topics.configs()

    def counts_now(self) -> dict[str, int]:
        """How many partitions each topic has by now; empty where no broker says so at once."""
        return self._topics.counts_now(_GLIMPSE_S)

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append records and return their offsets once all replicas in sync have them.

        Not atomic: after an error, some may be there.
        """
        self._topics.check_all(records)
        # Each thread has a producer to itself meanwhile, so a flush waits for its own records only.
        with self._lock:
            producer = self._producers.pop() if self._producers else None
        if producer is None:
            producer = connected(Producer(producer_options(self._bootstrap)), "append")
        try:
            offsets = send(producer, records, "append")
        except LogError:
            # Not used again: what it still holds must not be appended behind this error.
            producer.purge()
            producer.flush(0)
            raise
        with self._lock:
            self._producers.append(producer)
        self._visible.note(records, offsets)
        return offsets

    def writer(self, name: str) -> Writer:
        """Open a writer, fencing every earlier copy of the same name."""
        self._topics.create_writers()
        return KafkaWriter(
            self._bootstrap, name, check=self._topics.check_all, visible=self._visible
        )

    def read(self, topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        """Committed records from ``offset`` on, without waiting; at least one if there is one.

        What this process appended, committed or learnt of by `end` is there. What another process
        appends to a partition that is being followed comes with the next fetch, a millisecond later.
        """
        reader = self._readers.take(topic, partition, offset)
        if reader is None:
            self._check_inside(topic, partition, offset)
            reader = self._readers.make(topic, partition, offset)
        try:
            with collector_paused():
                if not reader.has_records:
                    self._fill(reader)
                chunk = reader.take(max_bytes)
        except LogError:
            reader.close()
            raise
        self._readers.give_back(reader)
        return chunk

    def start(self, topic: str, partition: int) -> int:
        """The first offset kept."""
        return self._bounds(topic, partition)[0]

    def end(self, topic: str, partition: int) -> int:
        """The offset that follows the last committed record (and marker)."""
        return self._bounds(topic, partition)[1]

    def last(self, topic: str, partition: int) -> Record | None:
        """The newest committed record, or None."""
        return last_record(
            self._scout,
            topic=topic,
            partition=partition,
            bounds=self._bounds(topic, partition),
            wanted=lambda _: True,
        )

    def wait(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """Sleep until a partition may have a record at or beyond its position, or the time is over."""
        self._unended.waited_for(positions)
        deadline = time.monotonic() + timeout_s
        if len(positions) > READERS_MAX:
            return self._ask_until(positions, deadline)
        readers: list[Reader] = []
        try:
            for (topic, partition), offset in positions.items():
                reader = self._readers.take(topic, partition, offset)
                if reader is None:
                    self._topics.check(topic, partition)
                    reader = self._readers.make(topic, partition, offset)
                readers.append(reader)
            found = _look_until(readers, deadline) or self._have_more(readers, timeout_s)
        except LogError:
            for reader in readers:
                reader.close()
            raise
        for reader in readers:
            self._readers.give_back(reader)
        return found

    def news(self, positions: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
        """Which partitions have their end elsewhere; all of them where there are readers for as many."""
        if len(positions) <= READERS_MAX:
            return list(positions)
        ends = self._ends.of(positions, TIMEOUT_S)
        return [
            where
            for where, offset in positions.items()
            if ends[where] != offset or self._visible.known(*where) > offset
        ]

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Cut the records whose offset is below ``before``."""
        self._check_inside(topic, partition, max(before, self.start(topic, partition)))
        self._drop_readers(topic, partition)
        cut = TopicPartition(topic, partition, before)
        (future,) = self._admin.delete_records([cut], request_timeout=TIMEOUT_S).values()
        try:
            future.result()
        except KafkaException as error:
            raise log_error(error, f"trim of {topic}[{partition}] before {before}") from error

    def stretches(self, topic: str, partition: int, count: int = SAMPLES) -> list[Stretch]:
        """What a few evenly spread parts of a partition hold: each takes a fetch of its own."""
        return super().stretches(topic, partition, min(count, _STRETCHES))

    def offset_at(self, topic: str, partition: int, time_ns: int) -> int:
        """The first offset whose record was appended at or after a time; the end where none was."""
        start, end = self._bounds(topic, partition)
        # Kafka keeps milliseconds: a record of the same one may be before the time, and is kept.
        found = self._scout.offset_at(topic, partition, time_ns // 1_000_000)
        return end if found is None else min(max(found, start), end)

    def unended(self) -> dict[tuple[str, int], int]:
        """Offsets from the first record of a transaction that has not ended on, by partition: what nobody reads yet."""
        places = [
            (name, partition)
            for name, config in self.topics().items()
            for partition in range(config.partitions)
        ]
        found = unended(self._ends, places, TIMEOUT_S)
        return {at: offsets for at, (_, offsets) in found.items()}

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records."""
        count = self._topics.delete(name)
        for partition in range(count):
            self._visible.forget(name, partition)
        self._readers.drop(lambda reader: reader.topic == name)

    def note_positions(self, group: str, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit positions to a consumer group, within a second, so that Kafka's tools show its lag."""
        self._groups.note(group, positions)

    def close(self) -> None:
        """Give all resources back."""
        self._groups.close()
        self._unended.close()
        self._readers.drop(lambda _: True)
        self._scout.close()
        with self._lock:
            self._producers.clear()

    def _fill(self, reader: Reader) -> None:
        """Fetch until there are records, or the position is known to be the end."""
        reader.poll(0)
        if reader.has_records:
            return
        topic, partition = reader.topic, reader.partition
        if self._is_at_end(reader):
            return
        end = self._check_inside(topic, partition, reader.position)
        deadline = time.monotonic() + RIDE_OUT_S
        wait_s = _PROMPT_S
        while not reader.has_records and reader.reached < end:
            reader.poll(wait_s)
            if reader.has_records or reader.reached >= end:
                return
            if wait_s == _PROMPT_S:
                # The reader's fetch waits at the broker, which answers when there is a record: where
                # only markers are left, the scout learns it sooner.
                reader.skip_to(self._scout.next_visible(topic, partition, reader.reached, end))
                wait_s = 0.5
            elif time.monotonic() > deadline:
                raise LogError(
                    f"read of {topic}[{partition}] from {reader.position}: the broker has records up "
                    f"to {end} and sent none in {RIDE_OUT_S:.0f} s"
                )

    def _is_at_end(self, reader: Reader) -> bool:
        # Its next fetch waits at the broker, so a question costs time and tells nothing more.
        known = self._visible.known(reader.topic, reader.partition)
        return reader.at_end and reader.reached >= known

    def _have_more(self, readers: list[Reader], timeout_s: float) -> bool:
        # A first fetch may still be on its way; the broker knows for sure. Where it is away, the caller hears soon,
        # and may be told to stop: this is where programs are nearly always.
        for reader in readers:
            if self._is_at_end(reader):
                continue
            end = self._scout.glimpse(
                reader.topic, reader.partition, max(_GLIMPSE_S, min(timeout_s, _GLIMPSE_MOST_S))
            )
            if end is None:
                self._absence.unanswered()
                return False
            self._absence.answered()
            # What this process appended may be hidden yet, for moments: its reader waits for it.
            if max(end, self._visible.known(reader.topic, reader.partition)) > reader.position:
                return True
        return False

    def _ask_until(self, positions: Mapping[tuple[str, int], int], deadline: float) -> bool:
        """Whether one of many partitions got something before the deadline."""
        while True:
            left_s = deadline - time.monotonic()
            ends = self._ends.of(positions, max(_GLIMPSE_S, min(left_s, _GLIMPSE_MOST_S)))
            if any(
                max(end or 0, self._visible.known(*where)) > positions[where]
                for where, end in ends.items()
            ):
                return True
            if None in ends.values():
                self._absence.unanswered()
            else:
                self._absence.answered()
            if left_s <= 0:
                return False
            time.sleep(min(left_s, _ASK_S))

    def _check_inside(self, topic: str, partition: int, offset: int) -> int:
        """The partition's end; an error where an offset is outside of it."""
        start, end = self._bounds(topic, partition)
        if start <= offset <= end:
            return end
        side = (
            "below its start: retention cut it"
            if offset < start
            else "above its end: the brokers have lost records; `tapeflow topics repair` says which, and "
            "how to go on"
        )
        raise TruncatedError(
            f"{topic}[{partition}] has offsets {start} to {end}; position {offset} is {side}"
        )

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        self._topics.check(topic, partition)
        return self._visible.of(topic, partition)

    def _drop_readers(self, topic: str, partition: int) -> None:
        self._readers.drop(lambda reader: (reader.topic, reader.partition) == (topic, partition))


def _look_until(readers: list[Reader], deadline: float) -> bool:
    """Whether one of the readers got something before the deadline."""
    looks = 0
    while not any(reader.poll(0) for reader in readers):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        if len(readers) == 1:
            # Short enough that Ctrl-C and a stop are heard.
            readers[0].poll(min(left_s, 0.1))
            continue
        looks += 1
        time.sleep(min(left_s, _LOOK_S if looks < _LOOKS_BEFORE_REST else _REST_S))
    return True
