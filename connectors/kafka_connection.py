"""Has a new client connected to a broker before it is asked anything that matters."""

from typing import Protocol, TypeVar

from confluent_kafka.admin import ClusterMetadata

from connectors.kafka_options import TIMEOUT_S
from connectors.kafka_outage import answered

# The first answer may come over the address that the client was given, the second comes from the broker that
# stands behind it. Not more: where each answer came over such an address, a client would ask for ever.
_QUESTIONS_MAX = 3


class Client(Protocol):
    """What producers and consumers have in common."""

    def list_topics(self, *, timeout: float) -> ClusterMetadata:
        """The cluster's topics and brokers."""


SomeClient = TypeVar("SomeClient", bound=Client)


def connected(client: SomeClient, doing: str) -> SomeClient:
    """The same client, connected to a broker by its number.

    librdkafka ends its connection to the address that it was given as soon as it knows which broker that is,
    and opens one to the broker. A question that is on its way just then is lost, and most are asked again by a
    clock only: a producer's identifier after half a second, a partition's leader after a whole one. The list of
    topics is asked again at once.

    Parameters
    ----------
    client : confluent_kafka.Producer or confluent_kafka.Consumer
        New.
    doing : str
        For what: the beginning of an error's message.

    Raises
    ------
    LogError
        Where no broker answers.
    """
    for _ in range(_QUESTIONS_MAX):
        told = answered(lambda: client.list_topics(timeout=TIMEOUT_S), doing)
        if told.orig_broker_id >= 0:
            break
    return client
