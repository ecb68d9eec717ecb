"""The socket side of a live adapter: connects, says, receives, and gives all of it on in order.

Receiving never waits for parsing or for the log, until the buffer is full: then it does, the socket's own buffers
fill, and the venue feels the back-pressure. What is in the buffer is worked off in a thread, in batches, in the
order in which it came, answers to HTTP requests among the messages.
"""

import asyncio
import contextlib
import re
from threading import Event
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from connectors.backoff import Backoff
from connectors.live.adapter import Adapter, Parsed, VenueRefusalError
from connectors.live.asking import Asking
from connectors.live.items import Buffer, ClientOptions, Item, Opened, Work
from connectors.live.rates import RateLimit

# A book of 5,000 levels a side has half a megabyte.
_MESSAGE_BYTES = 64 << 20
_SECRETS = re.compile(r"(?<=//)[^/?]*@|\?.*")
# How often it is looked whether to stop.
_STOP_POLL_S = 0.05
# Trying again mends none of these, unless a connection was there before: then the venue has a fault.
_REFUSALS = frozenset({400, 401, 403, 404, 451})


class Client:
    """One source's connection, made again whenever it is lost.

    Parameters
    ----------
    adapter : Adapter
        What to connect to and what to say.
    work : callable
        Takes a batch of what came, in order, in a thread of its own, one batch at a time.
    options : ClientOptions
        How.
    """

    def __init__(self, adapter: Adapter, work: Work, options: ClientOptions) -> None:
        self._adapter = adapter
        self._work = work
        self._options = options
        self._limits = adapter.limits
        self._connects = RateLimit(adapter.limits.connects)
        self._sends = RateLimit(adapter.limits.sends)
        self._buffer = Buffer(options)
        self._asking = Asking(adapter, self._buffer, options)
        self._says: asyncio.Queue[str] = asyncio.Queue()
        self._connection: ClientConnection | None = None
        self._opened = 0
        self._drop = ""

    async def run(self, stop: Event) -> None:
        """Go on until told to stop, or the venue refuses.

        Raises
        ------
        VenueRefusalError
            Where trying again is of no use.
        """
        self._look_at_address()
        receiving = asyncio.create_task(self._connections())
        working = asyncio.create_task(self._work_off())
        stopping = asyncio.create_task(_stopped(stop))
        try:
            await asyncio.wait({receiving, working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _ended(receiving, stopping, *self._asking.tasks)
            # What was received is worked off before the end.
            draining = asyncio.create_task(self._buffer.queue.join())
            await asyncio.wait({draining, working}, return_when=asyncio.FIRST_COMPLETED)
            await _ended(draining, working, *self._asking.tasks)
        for task in (working, receiving):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _connections(self) -> None:
        """Connect, receive until the connection is lost, wait, and so on."""
        options = self._options
        backoff = Backoff(
            first_s=options.backoff_first_s, most_s=options.backoff_most_s, seed=options.seed
        )
        loop = asyncio.get_running_loop()
        while True:
            await self._buffer.limited(self._connects, self._limits.connects, "connections")
            started = loop.time()
            try:
                async with self._connect() as connection:
                    self._opened += 1
                    await self._buffer.notice("connected", shown(self._adapter.url))
                    await self._converse(connection)
            except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
                await self._buffer.notice("refused", self._told(error))
                self._look_at_refusal(error)
            if loop.time() - started >= options.steady_s:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    def _connect(self) -> connect:
        # Pings are answered by the library. Ours are answered within the heartbeat, or the connection ends:
        # half of it passes between two pings, half is for the answer.
        half_s = self._limits.heartbeat_s / 2
        return connect(
            self._adapter.url,
            additional_headers=self._adapter.headers,
            open_timeout=self._options.open_s,
            ping_interval=half_s,
            ping_timeout=half_s,
            close_timeout=1.0,
            max_size=_MESSAGE_BYTES,
        )

    async def _converse(self, connection: ClientConnection) -> None:
        self._connection, self._says, self._drop = connection, asyncio.Queue(), ""
        await self._buffer.queue.put(Opened(self._opened))
        sender = asyncio.create_task(self._send(connection))
        try:
            await self._receive(connection)
        except ConnectionClosed as error:
            if error.sent is not None and "keepalive" in error.sent.reason:
                half_s = self._limits.heartbeat_s / 2
                told = f"no answer to a ping within {half_s:g} s"
                await self._buffer.notice("heartbeat_timeout", told)
            await self._buffer.notice("disconnected", self._drop or _closed(error))
        except TimeoutError:
            silence = f"nothing came for {self._limits.silence_s:g} s"
            await self._buffer.notice("heartbeat_timeout", silence)
            # The other side may not answer a farewell either.
            connection.transport.abort()
            await self._buffer.notice("disconnected", silence)
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.QueueFull):
                told_to = self._buffer.noticed("disconnected", "told to stop")
                self._buffer.queue.put_nowait(told_to)
            raise
        finally:
            self._connection = None
            sender.cancel()

    async def _receive(self, connection: ClientConnection) -> None:
        silence_s = self._limits.silence_s or None
        while True:
            async with asyncio.timeout(silence_s):
                payload = await connection.recv(decode=False)
            await self._buffer.message(payload)

    async def _send(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                text = await self._says.get()
                await self._buffer.limited(self._sends, self._limits.sends, "messages")
                await connection.send(text)

    async def _work_off(self) -> None:
        """Hand on what came, and do what the adapter wants done."""
        at = 0
        batch: list[Item] = []
        while True:
            if not batch:
                batch.append(await self._buffer.queue.get())
                await asyncio.sleep(self._options.flush_s)
            following = self._fill(batch)
            if isinstance(batch[0], Opened):
                at = batch[0].connection
            try:
                parsed = await asyncio.to_thread(self._work, batch)
            finally:
                for _ in batch:
                    self._buffer.queue.task_done()
            self._asking.looked_at(batch)
            await self._do(parsed, at)
            batch = following

    def _fill(self, batch: list[Item]) -> list[Item]:
        """Add what waits to a batch; a new connection begins the next one, which is given back."""
        queue = self._buffer.queue
        while len(batch) < self._options.batch_messages and not queue.empty():
            item = queue.get_nowait()
            if isinstance(item, Opened):
                return [item]
            batch.append(item)
        return []

    async def _do(self, parsed: Parsed, at: int) -> None:
        """What the adapter wants done, behind what came over connection ``at``."""
        if parsed.refusal:
            raise VenueRefusalError(f"{self._adapter.source} refuses: {parsed.refusal}")
        for request in parsed.requests:
            self._asking.ask(request)
        # What belongs to a connection that is gone must not be said on the next one.
        if at == self._opened and self._connection is not None:
            for text in parsed.sends:
                self._says.put_nowait(text)
            if parsed.reconnect:
                self._drop = parsed.reconnect
                await self._connection.close()

    def _look_at_address(self) -> None:
        try:
            possible = bool(urlsplit(self._adapter.url).hostname)
            _ = urlsplit(self._adapter.url).port
        except ValueError:
            possible = False
        if not possible:
            raise VenueRefusalError(
                f"{self._adapter.source}: its address {shown(self._adapter.url)} is none; see its host and port"
            )

    def _look_at_refusal(self, error: Exception) -> None:
        fatal = isinstance(error, InvalidURI) or (
            isinstance(error, InvalidStatus)
            and error.response.status_code in _REFUSALS
            and not self._opened
        )
        if fatal:
            raise VenueRefusalError(
                f"{self._adapter.source} at {shown(self._adapter.url)} refuses the connection: "
                f"{self._told(error)}; see address and credentials"
            ) from error

    def _told(self, error: Exception) -> str:
        """An error in words; one about the address repeats it."""
        text = str(error).replace(self._adapter.url, shown(self._adapter.url))
        return f"{type(error).__name__}: {text}" if text else type(error).__name__


def shown(url: str) -> str:
    """An address as logs and rows may have it: some venues want a key in its query, or a name and password.

    Examples
    --------
    >>> shown("wss://me:secret@venue.example/ws?token=secret")
    'wss://venue.example/ws'
    """
    return _SECRETS.sub("", url)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they have ended; their errors are looked at elsewhere."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _stopped(stop: Event) -> None:
    while not stop.is_set():  # noqa: ASYNC110 - a signal handler sets it, which no loop is told of
        await asyncio.sleep(_STOP_POLL_S)


def _closed(error: ConnectionClosed) -> str:
    if error.rcvd is not None:
        return f"closed by the venue: {error.rcvd.code} {error.rcvd.reason}".rstrip()
    return f"lost: {error}"
