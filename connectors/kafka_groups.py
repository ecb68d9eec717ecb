"""Shows a program's positions to ordinary Kafka tools, as offsets committed to a consumer group.

For monitoring only (``kafka-consumer-groups``, Burrow, a lag exporter): nobody reads them back, positions
are in progress records. So nothing waits for them, and a failure is told and passed over.
"""

import logging
import threading
import time
from collections.abc import Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka_options import client_options

# Lag is looked at every few seconds at most.
_EVERY_S = 1.0
_REQUEST_S = 5.0
_LOGGER = logging.getLogger("connectors.kafka")

Positions = Mapping[tuple[str, int], int]


class GroupOffsets:
    """Commits the newest positions of each group, at most once a second, in a thread of its own.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._lock = threading.Lock()
        self._due: dict[str, dict[tuple[str, int], int]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing: set[str] = set()

    def note(self, group: str, positions: Positions) -> None:
        """Take in where the readers of a group are; returns at once."""
        with self._lock:
            self._due.setdefault(group, {}).update(positions)
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="kafka-group-offsets", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Commit what is left, and end."""
        self._stop.set()
        if self._thread is not None:
            # Three requests' time: after that, the brokers are not there to be told.
            self._thread.join(3 * _REQUEST_S)

    def _run(self) -> None:
        admin = AdminClient(client_options(self._bootstrap))
        while not self._stop.wait(_EVERY_S):
            self._commit(admin, time.monotonic() + 60 * _REQUEST_S)
        # Where the brokers do not take them, who stops does not wait for that.
        if not self._failing:
            self._commit(admin, time.monotonic() + 2 * _REQUEST_S)

    def _commit(self, admin: AdminClient, deadline: float) -> None:
        with self._lock:
            due, self._due = self._due, {}
        for group, positions in sorted(due.items()):
            if time.monotonic() > deadline:
                return
            offsets = [
                TopicPartition(topic, partition, offset)
                for (topic, partition), offset in sorted(positions.items())
            ]
            asked = admin.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, offsets)], request_timeout=_REQUEST_S
            )
            try:
                answered = asked[group].result()
            except KafkaException as error:
                self._tell(group, str(error))
                self._keep(group, positions)
                continue
            refused = [one for one in answered.topic_partitions if one.error is not None]
            self._tell(group, str(refused[0].error) if refused else None)

    def _keep(self, group: str, positions: Positions) -> None:
        # A flow that rests notes no others: these are shown when the brokers are back.
        with self._lock:
            self._due[group] = {**positions, **self._due.get(group, {})}

    def _tell(self, group: str, problem: str | None) -> None:
        # Once an outage, not once a second.
        if problem is None:
            self._failing.discard(group)
        elif group not in self._failing:
            self._failing.add(group)
            _LOGGER.warning(
                "consumer group %s: its positions cannot be shown to Kafka's tools (%s); nothing else "
                "hangs on them",
                group,
                problem,
            )
