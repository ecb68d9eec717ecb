"""What routers share: settings, the log, the audit trail, the door, rate limits, and the running parts."""

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from starlette.requests import HTTPConnection

from connectors.log import Log
from serving.api.rate_limits import RateLimits
from serving.api.stream_places import StreamPlaces
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.api.audit import AuditTrail
    from serving.api.security import Door


class Part(Protocol):
    """Something that runs behind the routers for as long as the application does: a gateway, a view, a hub."""

    name: str

    async def start(self) -> None:
        """Begin; returns once it is ready for requests."""

    async def stop(self) -> None:
        """End: finish what was begun, tell whoever waits."""


@runtime_checkable
class Closing(Protocol):
    """A part whose streams have no end of their own: it is told when the server takes no more requests."""

    def close_streams(self) -> None:
        """Tell every client, and end its stream; returns at once."""


P = TypeVar("P", bound=Part)


class ApiState:
    """What routers share; made when the application starts, see `state_of`.

    Parameters
    ----------
    settings : Settings
        The platform's.
    log : Log
        Open, with all topics made. It blocks: call it in a thread.
    audit : AuditTrail
        Where it is written who did what.
    door : Door
        Who says who asks.
    rates : RateLimits
        How often.
    places : StreamPlaces
        How many streams at once.

    Attributes
    ----------
    closing : asyncio.Event
        Set when the server begins to shut down, see `close`.
    started : bool
        Whether all parts have started.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        log: Log,
        audit: "AuditTrail",
        door: "Door",
        rates: RateLimits,
        places: StreamPlaces,
    ) -> None:
        self.settings = settings
        self.log = log
        self.audit = audit
        self.door = door
        self.rates = rates
        self.places = places
        self.closing = asyncio.Event()
        self.started = False
        self._parts: list[Part] = []

    def part(self, kind: type[P]) -> P:
        """The running part of a class, such as ``state.part(OrderGateway)``.

        Raises
        ------
        KeyError
            Where there is none.
        """
        for part in self._parts:
            if isinstance(part, kind):
                return part
        raise KeyError(f"no part {kind.__name__} runs; {[part.name for part in self._parts]} do")

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that run, in order of start."""
        return tuple(self._parts)

    async def start(self, part: Part) -> None:
        """Start a part and keep it."""
        await part.start()
        self._parts.append(part)

    def close(self) -> None:
        """No more requests come: what would go on for ever is ended, so that the rest can finish."""
        if not self.closing.is_set():
            self.closing.set()
            for part in self._parts:
                if isinstance(part, Closing):
                    part.close_streams()

    async def stop(self) -> None:
        """Stop all parts, the last started first; each is asked, whatever became of the others."""
        self.started = False
        self.close()
        failures = []
        while self._parts:
            try:
                await self._parts.pop().stop()
            except Exception as error:  # noqa: BLE001 - the others must be stopped; it is raised below
                failures.append(error)
        if failures:
            raise ExceptionGroup("parts that did not stop", failures)


def state_of(connection: HTTPConnection) -> ApiState:
    """The state of the application that a request came to."""
    state: ApiState = connection.app.state.api
    return state
