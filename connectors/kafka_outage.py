"""Rides out the absence of Kafka's brokers: with growing waits, counted and told, for two minutes at most."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka_options import MOVING, RIDE_OUT_S, local_error, log_error
from connectors.log import LogError
from connectors.metrics import RETRIES
from connectors.patience import GivenUpError, Patience

T = TypeVar("T")

log_line = structlog.get_logger(__name__)

_AWAY = MOVING | {
    local_error("TIMED_OUT"),
    local_error("ALL_BROKERS_DOWN"),
    local_error("MSG_TIMED_OUT"),
    local_error("WAIT_COORD"),
    local_error("TIMED_OUT_QUEUE"),
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


class Absence:
    """For how long brokers have not answered one who asks now and again, and does something else between.

    Parameters
    ----------
    doing : str
        What is being done: the beginning of an error's message.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._begun_s: float | None = None
        self._questions = 0

    def answered(self) -> None:
        """Take in that they answer."""
        if self._begun_s is not None:
            log_line.info("went_on", of="kafka", after_s=round(self._failing_s, 1))
        self._begun_s, self._questions = None, 0

    def unanswered(self) -> None:
        """Take in that they do not.

        Raises
        ------
        UnansweredError
            Where they have not for two minutes.
        """
        if self._begun_s is None:
            self._begun_s = time.monotonic()
        if self._failing_s > RIDE_OUT_S:
            raise UnansweredError(
                f"{self._doing}: no answer from Kafka for {self._failing_s:.0f} s; are its brokers up?"
            )
        RETRIES.labels("kafka", "no_answer").inc()
        self._questions += 1
        # Each time it has become twice as many.
        if self._questions & (self._questions - 1) == 0:
            log_line.warning(
                "trying_again",
                of="kafka",
                cause="no_answer",
                attempt=self._questions,
                failing_s=round(self._failing_s, 1),
                give_up_s=RIDE_OUT_S,
                error=self._doing,
            )

    @property
    def _failing_s(self) -> float:
        return 0.0 if self._begun_s is None else time.monotonic() - self._begun_s


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
