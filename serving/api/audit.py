"""The audit trail of the API: who did what, from where, with which result."""

from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import HTTPConnection

from serving.api.problems import correlation_of

_DEVICE_MAX = 200


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


class AuditTrail:
    """Writes to the audit log."""

    def note(
        self,
        connection: HTTPConnection,
        actor: str,
        action: str,
        subject: str | None,
        result: Result,
        reason: str | None = None,
    ) -> None:
        """Write it soon, without waiting: what is in the log by itself (orders), and what was refused."""

    async def record(
        self,
        connection: HTTPConnection,
        actor: str,
        action: str,
        subject: str | None,
        result: Result,
        reason: str | None = None,
    ) -> None:
        """Write it, and return once it is on disk."""
        self.note(connection, actor, action, subject, result, reason)


def came_from(connection: HTTPConnection) -> Whence:
    """Where a request came from."""
    return Whence(
        origin=connection.client.host if connection.client else "",
        device=connection.headers.get("user-agent", "")[:_DEVICE_MAX],
        correlation=correlation_of(connection),
    )
