"""Rides out the absence of Kafka's brokers: with growing waits, counted and told, for two minutes at most."""

from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from connectors.kafka_options import MOVING, RIDE_OUT_S, log_error
from connectors.log import LogError
from connectors.patience import GivenUpError, Patience

T = TypeVar("T")

_AWAY = MOVING | {
    KafkaError._TIMED_OUT,  # noqa: SLF001 - Kafka's own names of local errors
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._WAIT_COORD,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}


class UnansweredError(LogError):
    """The brokers gave no answer; they may later."""


def is_away(error: KafkaError) -> bool:
    """Whether an error is of brokers that are not there, or not yet."""
    return error.code() in _AWAY


def riding_out() -> Patience:
    """A patience for one outage."""
    return Patience("kafka", give_up_s=RIDE_OUT_S)


def answered(ask: Callable[[], T], doing: str) -> T:
    """What the brokers answer, waiting for them where they are away.

    Parameters
    ----------
    ask : callable
        A question; asked again after `KafkaException` of an outage.
    doing : str
        What is being done: the beginning of an error's message.

    Raises
    ------
    LogError
        For any other error, and where the brokers stay away.
    """

    def cause_of(error: Exception) -> str | None:
        kafka = error.args[0]
        return kafka.name().strip("_").lower() if is_away(kafka) else None

    try:
        return riding_out().run(ask, (KafkaException,), cause_of)
    except GivenUpError as error:
        raise UnansweredError(
            f"{doing}: no answer from Kafka for {error.failing_s:.0f} s ({error.__cause__}); are its brokers up?"
        ) from error
    except KafkaException as error:
        raise log_error(error, doing) from error
