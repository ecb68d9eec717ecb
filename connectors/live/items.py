"""What goes from the wire to the work, in the order in which it came, and how patient the wire is."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from connectors.feeds.pace import Clock
from connectors.live.adapter import Message, Noticed, Parsed, Request
from connectors.live.rates import Rate, RateLimit

# A shorter wait for a limit is as good as none: two messages were apart by so little.
_TOLD_WAIT_S = 0.001


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that got no answer: when that was known, and why."""

    request: Request
    ts_ns: int
    why: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A new connection, counted from 1: what comes behind it came over that one."""

    connection: int


Item = Message | Noticed | Failed | Opened
Work = Callable[[Sequence[Item]], Parsed]


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """How patient the client is, and how much it holds.

    Parameters
    ----------
    buffer_messages : int
        Messages that wait to be worked off; beyond that receiving waits.
    batch_messages : int
        Most messages of one batch.
    flush_s : float
        How long the first message of a batch waits for others.
    backoff_first_s, backoff_most_s : float
        Waits between attempts (see `backoff.Backoff`).
    steady_s : float
        A connection that has held so long makes the next wait the shortest again.
    open_s, request_s : float
        Time for opening a connection, and for the answer to a request.
    seed : int
        Of the jitter.
    clock : Clock
        Tells the receive times.
    """

    buffer_messages: int = 65_536
    batch_messages: int = 8_192
    flush_s: float = 0.01
    backoff_first_s: float = 1.0
    backoff_most_s: float = 60.0
    steady_s: float = 30.0
    open_s: float = 10.0
    request_s: float = 10.0
    seed: int = 0
    clock: Clock = field(default_factory=Clock)


class Buffer:
    """Items in the order in which they came, numbered and with the time at which they came.

    Parameters
    ----------
    options : ClientOptions
        How many it holds, and the clock.
    """

    def __init__(self, options: ClientOptions) -> None:
        self.queue: asyncio.Queue[Item] = asyncio.Queue(options.buffer_messages)
        self._now_ns = options.clock.now_ns
        self._number = 0

    async def message(self, payload: bytes, answers: str = "") -> None:
        """Take a message in; waits while the buffer is full, and says so."""
        self._number += 1
        item = Message(
            number=self._number, recv_ns=self._now_ns(), payload=payload, answers=answers
        )
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            await self.queue.put(item)
            await self.notice(
                "back_pressure", f"{self.queue.maxsize} messages waited to be worked off"
            )

    async def notice(self, kind: str, detail: str) -> None:
        """Take in something that was noticed."""
        await self.queue.put(self.noticed(kind, detail))

    def noticed(self, kind: str, detail: str) -> Noticed:
        """Something that is noticed now."""
        return Noticed(kind=kind, ts_ns=self._now_ns(), detail=detail)

    async def failed(self, request: Request, why: str) -> None:
        """Take in that a request got no answer."""
        await self.queue.put(Failed(request, self._now_ns(), why))

    async def limited(self, limit: RateLimit, rate: Rate, what: str, cost: int = 1) -> None:
        """Wait until the venue's limit allows it; a wait is noticed."""
        wait_s = limit.take(asyncio.get_running_loop().time(), cost)
        if wait_s >= _TOLD_WAIT_S:
            await self.notice(
                "rate_limited",
                f"{rate.count} {what} in {rate.seconds:g} s are allowed: waits {wait_s:.3f} s",
            )
        if wait_s > 0:
            await asyncio.sleep(wait_s)
