"""One session of a transactional producer: from its fencing of older ones until it is interrupted."""

import time
from collections.abc import Sequence
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.crash_points import crash_point
from connectors.kafka_connection import connected
from connectors.kafka_options import TIMEOUT_S, local_error, log_error, transaction_options
from connectors.kafka_outage import UnansweredError, is_away
from connectors.kafka_producer import PURGED, send
from connectors.log import FencedError, LogError, NewRecord

# The coordinator may be loading, or ending the transaction of a copy that was killed.
_OPEN_TIMEOUT_S = 60.0
_ABORT_TIMEOUT_S = 5.0
_FATAL = local_error("FATAL")


class InterruptedTransactionError(LogError):
    """A transaction whose end is not known, of a session that cannot go on; `__cause__` is why.

    Parameters
    ----------
    offsets : list of int or None
        Of its records, where all were sent: it took place where the log says so.
    refused : LogError or None
        Why its records were refused, where that is what went wrong first: not to be tried again.
    """

    def __init__(
        self, cause: LogError, offsets: list[int] | None = None, refused: LogError | None = None
    ) -> None:
        super().__init__(str(cause))
        self.offsets = offsets
        self.refused = refused


class TransactionSession:
    """Transactions under one identifier, which fences every earlier session of it.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    transactional_id : str
        The identifier.
    where : str
        For whom: the beginning of an error's message.

    Raises
    ------
    LogError
        Where the brokers do not open it.
    """

    def __init__(self, bootstrap: str, transactional_id: str, where: str) -> None:
        self._where = where
        options = transaction_options(bootstrap, transactional_id)
        self._producer = connected(Producer(options), f"opening {where}")
        deadline = time.monotonic() + _OPEN_TIMEOUT_S
        while True:
            try:
                self._producer.init_transactions(TIMEOUT_S)
            except KafkaException as exception:
                error = exception.args[0]
                if error.retriable() and time.monotonic() < deadline:
                    continue
                failure = log_error(error, f"opening {where}")
                if error.retriable() or is_away(error):
                    raise UnansweredError(str(failure)) from exception
                raise failure from exception
            else:
                return

    def run(self, records: Sequence[NewRecord]) -> list[int]:
        """Append records in one transaction; their offsets.

        Raises
        ------
        LogError
            Where a record was refused; nothing was appended and the session goes on.
        InterruptedTransactionError
            Where the session is over; whether the transaction took place, the log tells.
        """
        try:
            self._producer.begin_transaction()
        except KafkaException as exception:
            failure = log_error(exception, self._where)
            raise InterruptedTransactionError(failure) from failure
        try:
            offsets = send(self._producer, records, self._where)
        except LogError as error:
            self._undo(error)
            raise
        crash_point("kafka: records sent")
        self._end(offsets)
        crash_point("kafka: committed")
        return offsets

    def close(self) -> None:
        """End it; what a failed transaction left is not sent any more."""
        self._producer.purge()
        # Of a producer that was fenced it says so once more; whoever closes it knows that already.
        with suppress(KafkaException):
            self._producer.flush(0)

    def _undo(self, error: LogError) -> None:
        cause = error.__cause__
        kafka = cause.args[0] if isinstance(cause, KafkaException) else None
        # A producer whose error is fatal takes nothing any more; the log knows whether it was fenced.
        over = kafka and (kafka.fatal() or kafka.code() == _FATAL or is_away(kafka))
        # Nothing was said of a record: the transaction itself failed, as where the coordinator has forgotten the
        # identifier of a writer that rested for a week (`transactional.id.expiration.ms`).
        over = over or (kafka and kafka.code() in PURGED)
        if isinstance(error, (FencedError, UnansweredError)) or over:
            raise InterruptedTransactionError(error) from error
        try:
            self._aborted()
        except KafkaException as exception:
            failure = log_error(exception, f"{self._where}, after: {error}")
            raise InterruptedTransactionError(failure, refused=error) from failure

    def _aborted(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self._producer.abort_transaction(_ABORT_TIMEOUT_S)
            except KafkaException as exception:
                error: KafkaError = exception.args[0]
                if error.fatal() or not error.retriable() or time.monotonic() > deadline:
                    raise
            else:
                return

    def _end(self, offsets: list[int]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                # Called again after a time-out, it goes on with the same commit and tells its outcome.
                self._producer.commit_transaction(TIMEOUT_S)
            except KafkaException as exception:
                error = exception.args[0]
                if (
                    error.retriable()
                    and not error.txn_requires_abort()
                    and time.monotonic() < deadline
                ):
                    continue
                failure = log_error(error, self._where)
                raise InterruptedTransactionError(failure, offsets) from failure
            else:
                return
