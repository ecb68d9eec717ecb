"""Appends records through a Kafka producer and waits for the offsets that the broker gave them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
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
        _produce(producer, record, deliveries, doing)
    try:
        left = producer.flush(TIMEOUT_S)
    except KafkaException as error:
        raise log_error(error, doing) from error
    if deliveries.error is not None:
        raise log_error(deliveries.error, doing)
    if left:
        raise LogError(
            f"{doing}: {left} of {len(records)} records were not acknowledged in {TIMEOUT_S} s; "
            "are the brokers up and in sync?"
        )
    return deliveries.offsets(records, doing)


def _produce(producer: Producer, record: NewRecord, deliveries: "_Deliveries", doing: str) -> None:
    where = f"{doing}, to {record.topic}[{record.partition}]"
    while True:
        try:
            producer.produce(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                on_delivery=deliveries.report,
            )
        except BufferError:
            _make_room(producer, where)
        except KafkaException as error:
            raise log_error(error, where) from error
        else:
            return


def _make_room(producer: Producer, where: str) -> None:
    # The local queue is full: let the brokers take some, unless they have stopped taking any.
    try:
        served = producer.poll(TIMEOUT_S)
    except KafkaException as error:
        raise log_error(error, where) from error
    if not served:
        raise LogError(f"{where}: the brokers took nothing for {TIMEOUT_S} s")


class _Deliveries:
    """Delivery reports of one append; those of one partition come in the order of its records."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self._offsets: dict[tuple[str, int], list[int]] = defaultdict(list)

    def report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            # The first one is the cause; those behind it failed because it did.
            self.error = self.error or error
            return
        self._offsets[message.topic(), message.partition()].append(message.offset())

    def offsets(self, records: Sequence[NewRecord], doing: str) -> list[int]:
        by_partition: dict[tuple[str, int], Iterator[int]] = {
            where: iter(offsets) for where, offsets in self._offsets.items()
        }
        found = [next(by_partition[record.topic, record.partition]) for record in records]
        if found and min(found) < 0:
            # After a retry that came very late the broker knows only that it has the record.
            raise LogError(
                f"{doing}: the broker has the records but no longer says at which offsets; look "
                "at the end of their partitions"
            )
        return found
