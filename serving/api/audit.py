"""The audit trail of the API: who did what, from where, with which result.

One thread writes: what comes while it syncs goes into the next commit, so that a sync serves all who wait.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from threading import Condition, Thread

import structlog
from starlette.requests import HTTPConnection

from connectors.audit_log import NOBODY, AuditEntry, AuditWriter
from connectors.log import Log, LogError
from serving.api.problems import ApiError, correlation_of

_DEVICE_MAX = 200
# What nobody waits for may wait a little for company: a commit costs a sync, whatever it holds.
_LINGER_S = 0.02
_COMMIT_ENTRIES = 1_000
# While the log does not answer, so many are kept; then requests fail rather than go unwritten.
_WAITING_MAX = 20_000
_RETRY_S = 0.5

_Waiting = tuple[AuditEntry, Future[None] | None]

_logger = structlog.get_logger("api")


class Result(StrEnum):
    """How something ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Whence:
    """Where a request came from."""

    origin: str
    device: str
    correlation: str


def came_from(connection: HTTPConnection) -> Whence:
    """Where a request came from."""
    return Whence(
        origin=connection.client.host if connection.client else "",
        device=connection.headers.get("user-agent", "")[:_DEVICE_MAX],
        correlation=correlation_of(connection),
    )


def entry_of(
    connection: HTTPConnection,
    actor: str,
    action: str,
    subject: str | None,
    result: Result,
    reason: str | None = None,
) -> AuditEntry:
    """What the audit log says of a request.

    Parameters
    ----------
    connection : HTTPConnection
        The request.
    actor : str
        User, or what was given as one; empty for nobody.
    action : str
        What, a short word such as ``order_new``.
    subject : str or None
        On what. Never a secret.
    result : Result
        How it ended.
    reason : str or None
        Why it was refused or failed.
    """
    whence = came_from(connection)
    return AuditEntry(
        actor=actor or NOBODY,
        ts_event=time.time_ns(),
        action=action,
        subject=subject,
        result=result,
        reason=reason,
        origin=whence.origin or None,
        device=whence.device or None,
        correlation_id=whence.correlation or None,
    )


class AuditTrail:
    """Writes entries behind the requests.

    Parameters
    ----------
    log : Log
        Where.

    Attributes
    ----------
    writer : AuditWriter
        For whoever appends records with their audit in one commit, such as the order gateway.
    """

    name = "audit"

    def __init__(self, log: Log) -> None:
        self.writer = AuditWriter(log)
        self._waiting: deque[_Waiting] = deque()
        self._changed = Condition()
        self._hurried = 0
        self._stopping = False
        self._failing = False
        self._thread = Thread(target=self._write_forever, name="audit", daemon=True)

    @property
    def failing(self) -> bool:
        """Whether the last commit failed: entries wait."""
        return self._failing

    async def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    async def stop(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self.writer.close)

    def note(self, entry: AuditEntry) -> None:
        """Write it soon; for what need not be on disk before the answer: what was refused, what was read.

        Raises
        ------
        ApiError
            503 where the log has not answered for so long that no more is kept.
        """
        self._put(entry, None)

    async def record(self, entry: AuditEntry) -> None:
        """Write it, and return once it is on disk.

        Raises
        ------
        LogError
            Where the log does not take it.
        """
        future: Future[None] = Future()
        self._put(entry, future)
        await asyncio.wrap_future(future)

    def _put(self, entry: AuditEntry, future: Future[None] | None) -> None:
        with self._changed:
            if self._stopping or len(self._waiting) >= _WAITING_MAX:
                raise ApiError(
                    503, "audit-unavailable", "the audit log does not answer; nothing was done"
                )
            self._waiting.append((entry, future))
            self._hurried += future is not None
            self._changed.notify()

    def _write_forever(self) -> None:
        try:
            while part := self._next_part():
                try:
                    self.writer.append([entry for entry, _ in part])
                except LogError as error:
                    self._keep(part, error)
                except BaseException as error:
                    _tell(part, error)
                    raise
                else:
                    self._failing = False
                    _tell(part, None)
        finally:
            # Whatever ended it, nobody waits for a thread that is gone.
            with self._changed:
                self._failing = self._failing or not self._stopping
                self._stopping = True
                left = list(self._waiting)
                self._waiting.clear()
            _tell(left, LogError("the audit log is written no more"))

    def _next_part(self) -> list[_Waiting]:
        """What is to be written next; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            self._changed.wait_for(lambda: self._hurried or self._stopping, _LINGER_S)
            count = min(len(self._waiting), _COMMIT_ENTRIES)
            part = [self._waiting.popleft() for _ in range(count)]
            self._hurried -= sum(future is not None for _, future in part)
            return part

    def _keep(self, part: list[_Waiting], error: LogError) -> None:
        """Tell those who wait; what nobody waits for is tried again."""
        _logger.error("audit log unavailable", error=str(error), entries=len(part))
        self._failing = True
        _tell(part, error)
        with self._changed:
            if not self._stopping:
                self._waiting.extendleft(one for one in reversed(part) if one[1] is None)
                self._changed.wait_for(lambda: self._stopping, _RETRY_S)


def _tell(part: Iterable[_Waiting], error: BaseException | None) -> None:
    for _, future in part:
        # Who waited may have gone away meanwhile.
        if future is None or not future.set_running_or_notify_cancel():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
