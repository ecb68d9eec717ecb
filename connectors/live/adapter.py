"""The contract of a live adapter: what one source's messages mean, without any socket.

An adapter is told what came over the wire, in order, and answers with rows, with what it noticed, and with what
it wants said or asked. So a recording of the wire gives the same rows again, and `connectors.live.client` is the only
one that knows sockets, time-outs and waits.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from connectors.feeds.source import FeedError
from connectors.live.rates import Rate
from schemas.arrays import Int64s
from schemas.topic import Topic


class VenueRefusalError(FeedError):
    """The venue refuses for a reason that trying again does not mend; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What came over the wire.

    Parameters
    ----------
    number : int
        From 1, without gaps, over all connections of a run.
    recv_ns : int
        When it was received, ns since 1970 UTC.
    payload : bytes
        As it came.
    answers : str
        Key of the `Request` that it answers; empty for a message of the stream.
    fault : str
        Why a line of a recording, which is then the payload, is no message; else empty.
    opened : bool
        Whether it is no message, but a recording's line on a new connection.
    """

    number: int
    recv_ns: int
    payload: bytes
    answers: str = ""
    fault: str = ""
    opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something that becomes a row of `feed_events`; the fields are that topic's."""

    kind: str
    ts_ns: int
    stream: str | None = None
    symbol: str | None = None
    expected: int | None = None
    found: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that is no row: its number, why, and its bytes."""

    number: int
    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question over HTTP.

    Parameters
    ----------
    key : str
        Names it; one request of a key is under way at a time.
    url : str
        What to get.
    cost : int
        How much of the venue's rate it takes.
    """

    key: str
    url: str
    cost: int = 1


@dataclass(kw_only=True)
class Parsed:
    """What messages came to.

    Parameters
    ----------
    groups : list of (Topic, pyarrow.RecordBatch, numpy.ndarray of int64)
        Rows of a topic in the order of the messages, and the number of the message of each row.
    bad : list of Bad
        Messages that are no rows.
    noticed : list of Noticed
        Gaps and the like.
    requests : list of Request
        Questions to ask over HTTP.
    sends : list of str
        What to say on the connection.
    reconnect : str
        Why the connection is of no use any more; empty where it is.
    refusal : str
        Why the venue will not serve us, where trying again does not mend it; else empty.
    """

    groups: list[tuple[Topic, pa.RecordBatch, Int64s]] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    noticed: list[Noticed] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    sends: list[str] = field(default_factory=list)
    reconnect: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a source allows, and how long its silence may be.

    Parameters
    ----------
    connects, sends, requests : Rate
        Connections, messages from us, and (costs of) HTTP requests.
    heartbeat_s : float
        A ping that is not answered within so long ends the connection.
    silence_s : float
        A connection over which nothing comes for so long is ended; 0 for any silence.
    """

    connects: Rate
    sends: Rate
    requests: Rate
    heartbeat_s: float = 20.0
    silence_s: float = 0.0


class Adapter(ABC):
    """One live source.

    ``source`` names it in headers, feed events and dead letters; ``url`` is where it is; ``headers`` are sent
    when connecting; ``is_anew`` is whether what messages mean hangs on the connection that they came over, so that a
    recording must tell where one begins. None may hold a secret that a log line would show: credentials go into `greeting` or headers.
    """

    source: str
    url: str
    limits: Limits
    is_anew: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers of the connection's opening."""
        return {}

    def forget(self) -> None:  # noqa: B027 - most have nothing to forget
        """A new connection, over which nothing need be said: state that belonged to the last one is forgotten."""

    @abstractmethod
    def opened(self) -> list[str]:
        """What to say first on a new connection; state that belonged to the last one is forgotten.

        Raises
        ------
        FeedError
            Where a credential or the symbols are not there.
        """

    @abstractmethod
    def parse(self, messages: Sequence[Message]) -> Parsed:
        """What messages mean, in their order."""

    def answered(self, request: Request, body: bytes) -> bytes:
        """The message that an answer is taken as, and recorded as (by default its body)."""
        del request
        return body

    def failed(self, request: Request, ts_ns: int, why: str) -> Parsed:
        """A request that got no answer: what to do now (by default nothing)."""
        del request, ts_ns, why
        return Parsed()
