"""Appends records through a Kafka producer and waits for the offsets that the broker gave them."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_options import TIMEOUT_S, log_error
from connectors.log import LogError, NewRecord


def connected_producer(options: dict[str, Any]) -> Producer:
    """A producer that has a connection already.

    Without one, its first question (for a producer identifier) fails, and librdkafka waits half a
    second before it asks again.
    """
    producer = Producer(options)
    try:
        producer.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise log_error(error, "connecting a producer") from error
    return producer


def send(producer: Producer, records: Sequence[NewRecord], doing: str) -> list[int]:
    """Append records and return their offsets once all replicas have them.

    Parameters
    ----------
    producer : confluent_kafka.Producer
        Idempotent, so that the order within a partition is the order given; used by nobody else
        meanwhile.
    records : sequence of NewRecord
        What to append.
    doing : str
        For whom: the beginning of an error's message.

    Raises
    ------
    LogError
        Where a record was not taken. Others may have been: the producer must not be used again
        outside a transaction that is aborted.
    """
    deliveries = _Deliveries()
    for record in records:
        while not _produced(producer, record, deliveries.report, doing):
            _make_room(producer, doing)
    try:
        left = producer.flush(TIMEOUT_S)
    except KafkaException as error:
        raise log_error(error, doing) from error
    if deliveries.error is not None:
        raise log_error(deliveries.error, f"{doing}, to {deliveries.failed_at}")
    if left:
        raise LogError(
            f"{doing}: {left} of {len(records)} records were not acknowledged in {TIMEOUT_S} s; "
            "are the brokers up and in sync?"
        )
    return deliveries.offsets(records, doing)


def _produced(
    producer: Producer,
    record: NewRecord,
    report: Callable[[KafkaError | None, Message], None],
    doing: str,
) -> bool:
    try:
        producer.produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            report,
            headers=list(record.headers),
        )
    except BufferError:
        return False
    except KafkaException as error:
        where = f"{doing}, to {record.topic}[{record.partition}]"
        raise log_error(error, where) from error
    return True


def _make_room(producer: Producer, doing: str) -> None:
    # The local queue is full: let the brokers take some, unless they have stopped taking any.
    try:
        served = producer.poll(TIMEOUT_S)
    except KafkaException as error:
        raise log_error(error, doing) from error
    if not served:
        raise LogError(f"{doing}: the brokers took nothing for {TIMEOUT_S} s")


class _Deliveries:
    """Delivery reports of one append; those of one partition come in the order of its records."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.failed_at = ""
        self._delivered: list[Message] = []

    def report(self, error: KafkaError | None, message: Message) -> None:
        # Called once a record, so it does the least; the first error is the cause of the others.
        if error is None:
            self._delivered.append(message)
        elif self.error is None:
            self.error = error
            self.failed_at = f"{message.topic()}[{message.partition()}]"

    def offsets(self, records: Sequence[NewRecord], doing: str) -> list[int]:
        by_partition: dict[tuple[str, int], deque[int]] = defaultdict(deque)
        for message in self._delivered:
            by_partition[message.topic(), message.partition()].append(message.offset())
        found = [by_partition[record.topic, record.partition].popleft() for record in records]
        if found and min(found) < 0:
            # After a retry that came very late the broker knows only that it has the record.
            raise LogError(
                f"{doing}: the broker has the records but no longer says at which offsets; look "
                "at the end of their partitions"
            )
        return found
