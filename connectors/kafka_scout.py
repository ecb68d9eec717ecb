"""Single looks at Kafka partitions: where they end, their last records, what markers hide."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

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
from connectors.kafka_records import after, consume, records_of, records_only
from connectors.log import LogError, Record

_UNKNOWN_PARTITION = local_error("UNKNOWN_PARTITION")
# It wants to hear soon that there is nothing more.
_FETCH_WAIT_MS = 1
# Between questions while a partition has no leader to answer them.
_MOVING_S = 0.01
_MOVED_S = 5.0


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
        options = consumer_options(bootstrap, fetch_wait_ms=_FETCH_WAIT_MS, committed=committed)
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
                    messages = consume(self._consumer, 0.5)
                    if messages:
                        deadline = time.monotonic() + RIDE_OUT_S
                        reached = after(messages[-1])
                    elif time.monotonic() > deadline:
                        raise LogError(
                            f"read of {topic}[{partition}] from {reached}: there are records up to "
                            f"{end}, and the broker sent none in {RIDE_OUT_S:.0f} s; a transaction "
                            "that never ends may hide them: see 'Which Kafka' in docs/kafka.md"
                        )
                    fetched = records_only(messages, topic, partition)
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
