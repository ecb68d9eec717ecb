"""Server-sent events: the body of an answer that has a stream in it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serving.api.security import Credentials, Principal
from serving.api.state import ApiState
from serving.api.stored_rows import recall
from serving.api.stream_rights import StreamRights
from serving.hub.frames import Frame
from serving.hub.subscription import StreamEndError, Subscription

# So often a silent stream of events says that it lives: proxies close what is silent for a minute.
_ALIVE_S = 15.0


class EventsResponse(StreamingResponse):
    """Events; ``left`` is called at their end, also where the client goes before the first one."""

    def __init__(self, content: AsyncIterator[bytes], left: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._left()


async def events_of(
    state: ApiState, subscription: Subscription, credentials: Credentials, principal: Principal
) -> AsyncIterator[bytes]:
    """The events of a stream, until it ends or its client goes."""
    frames = subscription.frames()
    following = asyncio.ensure_future(_first(state, subscription, frames))
    revoked: asyncio.Future[StreamEndError] = asyncio.get_running_loop().create_future()

    def revoke(kind: str, detail: str) -> None:
        if not revoked.done():
            revoked.set_result(StreamEndError(kind, detail))

    held = state.part(StreamRights).hold(credentials, principal, revoke)
    awaited: set[asyncio.Future[Any]] = {following, revoked}
    try:
        # Headers go out at once, so that a client knows that it is subscribed; and whoever loses the stream before the
        # first frame goes on from where it began, as over a WebSocket.
        yield b"id: %b\n: here\n\n" % subscription.position.encode()
        while True:
            done, _ = await asyncio.wait(
                awaited, timeout=_ALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                yield b": here\n\n"
                continue
            if revoked in done:
                yield _end_event(revoked.result())
                return
            try:
                frame = following.result()
            except StreamEndError as end:
                yield _end_event(end)
                return
            yield b"id: %b\nevent: rows\ndata: {%b\n\n" % (frame.position.encode(), frame.body)
            following = asyncio.ensure_future(anext(frames))
            awaited = {following, revoked}
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, StreamEndError):
            await following
        await frames.aclose()
        state.part(StreamRights).leave(held)


async def _first(
    state: ApiState, subscription: Subscription, frames: AsyncGenerator[Frame, None]
) -> Frame:
    """The first frame, which waits for what it is to hold."""
    await recall(state, subscription.wanted)
    return await anext(frames)


def _end_event(end: StreamEndError) -> bytes:
    said = orjson.dumps({"kind": end.kind, "detail": end.detail})
    return b"event: end\ndata: %b\n\n" % said
