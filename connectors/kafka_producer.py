"""Appends records through a Kafka producer and waits for the offsets that the broker gave them."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_options import RIDE_OUT_S, local_error, log_error
from connectors.log import LogError, NewRecord
from connectors.metrics import RETRIES

# Longer than any flush on brokers that are well.
_TELL_EVERY_S = 5.0
# Of records that were never sent, or not waited for, since their transaction had failed: not why it did.
PURGED = {local_error("PURGE_QUEUE"), local_error("PURGE_INFLIGHT")}

log_line = structlog.get_logger(__name__)


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
            _flushed(producer, doing, some=True)
    left = _flushed(producer, doing)
    if deliveries.error is not None:
        failure = log_error(deliveries.error, f"{doing}, to {deliveries.failed_at}")
        raise failure from KafkaException(deliveries.error)
    if left:
        raise LogError(
            f"{doing}: {left} of {len(records)} records were not acknowledged in {RIDE_OUT_S:.0f} s; "
            "are the brokers up and in sync?"
        )
    return deliveries.offsets(records, doing)


def _flushed(producer: Producer, doing: str, *, some: bool = False) -> int:
    """Wait until the brokers have taken all, or ``some`` of it; how many they have not taken.

    The client itself sends again what an outage keeps, until its delivery time is over.
    """
    deadline = time.monotonic() + RIDE_OUT_S
    waited = 0
    while True:
        try:
            left = 0 if some and producer.poll(_TELL_EVERY_S) else producer.flush(_TELL_EVERY_S)
        except KafkaException as error:
            raise log_error(error, doing) from error
        if not left or time.monotonic() > deadline:
            return left
        waited += 1
        RETRIES.labels("kafka", "not_acknowledged").inc()
        if waited & (waited - 1) == 0:
            log_line.warning(
                "trying_again", of="kafka", cause="not_acknowledged", records=left, doing=doing
            )


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


class _Deliveries:
    """Delivery reports of one append; those of one partition come in the order of its records."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None
        self.failed_at = ""
        self._delivered: list[Message] = []

    def report(self, error: KafkaError | None, message: Message) -> None:
        # Called once a record, so it does the least; the first error is the cause of the others, where it is one.
        if error is None:
            self._delivered.append(message)
        elif self.error is None or self.error.code() in PURGED:
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
