"""Streams of any topic: over a WebSocket (several at once), or as server-sent events."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from connectors.log import LogError, UnknownTopicError
from schemas.registry import TOPICS
from serving.api.problems import ApiError
from serving.api.security import (
    KNOWN,
    Principal,
    check_topic,
    credentials_of,
    principal_of_websocket,
)
from serving.api.state import ApiState, Part, state_of
from serving.api.stored_rows import recall
from serving.api.stream_events import EventsResponse, events_of
from serving.api.stream_rights import RIGHTS, SIGNED_OUT, StreamRights
from serving.hub.frames import ACCOUNT, Frame, Shape, own_members
from serving.hub.hub import Hub
from serving.hub.position import LATEST, PositionError, position_of
from serving.hub.subscription import StreamEndError, Subscription, Wanted

router = APIRouter(prefix="/v1/stream", tags=["streams"])

PARTS: tuple[Callable[[ApiState], Part], ...] = (lambda state: StreamRights(state.door),)

KEYS_MAX = 10_000
# Of one connection: a dashboard has a dozen.
STREAMS_MAX = 64
_CONFLATE_MS_MAX = 60_000
CLOSE_CODES = {
    "slow": 4008,
    "trimmed": 4010,
    "lost": 4010,
    "unreadable": 1011,
    "closing": 1001,
    SIGNED_OUT: 4401,
    RIGHTS: 4403,
}
"""Codes with which the server closes a WebSocket, by reason."""

_BAD_REQUEST = 4000


class Subscribe(BaseModel):
    """What a client subscribes to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topic: str = Field(max_length=100)
    id: str = Field(
        default="",
        max_length=100,
        description="What the client calls it: frames have it; the topic's name by default",
    )
    keys: list[str] | None = Field(
        default=None,
        max_length=KEYS_MAX,
        description="Keys (symbols, accounts) whose rows are wanted; all without it",
    )
    conflate_ms: int = Field(
        default=0,
        ge=0,
        le=_CONFLATE_MS_MAX,
        description="So often at most, the newest row of each key that changed; 0 for every row",
    )
    begin: str = Field(
        default="now",
        max_length=20_000,
        description="`now`, `latest` (the newest rows first), or a position that a frame gave",
    )
    format: Literal["json", "arrow"] = "json"


def wanted_of(state: ApiState, principal: Principal, asked: Subscribe) -> Wanted:
    """What a client may have of what it wants.

    Raises
    ------
    ApiError
        404 for an unknown topic, 403 for one that may not be read, 422 for what cannot be.
    """
    topic = TOPICS.get(asked.topic)
    if topic is None:
        raise ApiError(404, "no-topic", f"there is no topic of this name; {', '.join(TOPICS)} are")
    check_topic(principal, topic.name)
    is_limited = principal.sees is not None and ACCOUNT in topic.schema.names
    if is_limited and asked.conflate_ms and topic.key != ACCOUNT:
        raise ApiError(
            422,
            "conflated",
            f"{topic.name} has rows of several accounts within a key: it cannot be conflated for who sees some only",
        )
    shape = Shape(
        keys=None if asked.keys is None else frozenset(asked.keys),
        accounts=principal.sees if is_limited else None,
        arrow=asked.format == "arrow",
    )
    position = None
    if asked.begin not in ("now", LATEST):
        try:
            position = position_of(asked.begin, state.log.topics()[topic.name].partitions)
        except PositionError as error:
            raise ApiError(422, "position", str(error)) from error
    return Wanted(
        topic=topic,
        shape=shape,
        interval_s=asked.conflate_ms / 1000,
        position=position,
        snapshot=asked.begin == LATEST,
    )


async def subscription_of(state: ApiState, wanted: Wanted) -> Subscription:
    """The stream of what is wanted; `ApiError` where the position is none of the log."""
    try:
        return await state.part(Hub).subscribe(wanted)
    except PositionError as error:
        raise ApiError(422, "position", str(error)) from error
    except UnknownTopicError as error:
        raise ApiError(404, "no-topic", "the log has no such topic") from error


async def _opened(
    state: ApiState, principal: Principal, wanted: Wanted
) -> tuple[Subscription, Callable[[], None]]:
    """A stream in a place of its user, and what gives both back; `ApiError` 429 where there is no place."""
    state.places.take(principal.user)
    try:
        subscription = await subscription_of(state, wanted)
    except BaseException:
        state.places.leave(principal.user)
        raise

    def left() -> None:
        state.part(Hub).close_subscription(subscription)
        state.places.leave(principal.user)

    return subscription, left


@router.get(
    "/{topic}",
    responses={
        200: {
            "description": "Events: `id` is the position behind them, `data` a frame",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
    response_class=StreamingResponse,
)
async def events(
    request: Request,
    principal: Annotated[Principal, Depends(KNOWN)],
    topic: Annotated[str, Path(max_length=100)],
    keys: Annotated[
        str | None, Query(max_length=100_000, description="Keys, with commas between them")
    ] = None,
    conflate_ms: Annotated[int, Query(ge=0, le=_CONFLATE_MS_MAX)] = 0,
    begin: Annotated[
        str, Query(max_length=20_000, description="`now`, `latest` or a position")
    ] = "now",
    last_event_id: Annotated[str | None, Header(max_length=20_000)] = None,
) -> StreamingResponse:
    """Rows of a topic as server-sent events; a browser that reconnects goes on where it was."""
    asked = Subscribe(
        topic=topic,
        keys=None if keys is None else [key for key in keys.split(",") if key],
        conflate_ms=conflate_ms,
        begin=last_event_id or begin,
    )
    state = state_of(request)
    wanted = wanted_of(state, principal, asked)
    subscription, left = await _opened(state, principal, wanted)
    return EventsResponse(events_of(state, subscription, credentials_of(request), principal), left)


@router.websocket("")
async def stream(websocket: WebSocket) -> None:
    """Streams over one connection: the client sends what it subscribes to, and gets frames.

    ``{"subscribe": {"topic": "quotes", "keys": ["AAPL"], "conflate_ms": 100}}`` begins one,
    ``{"unsubscribe": "quotes"}`` ends it. A frame is ``{"id", "topic", "position", "rows"}``, or with
    ``"format": "arrow"`` a binary message.
    """
    principal = await principal_of_websocket(websocket)
    connection = _Connection(websocket, principal)
    state = connection.state
    state.places.take(principal.user)
    rights = state.part(StreamRights)
    held = rights.hold(credentials_of(websocket), principal, connection.revoke)
    try:
        await websocket.accept()
        await connection.serve()
    finally:
        state.places.leave(principal.user)
        rights.leave(held)
        await connection.end()


class _Connection:
    """A client's WebSocket and the streams on it."""

    def __init__(self, websocket: WebSocket, principal: Principal) -> None:
        self._websocket = websocket
        self._principal = principal
        self.state = state_of(websocket)
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self._revoking: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Take what the client sends, until it goes."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if self._closed:
                # It was said before the client heard that it is over.
                continue
            try:
                await self._take(message.get("text") or message.get("bytes") or "")
            except ApiError as error:
                await self._tell({"error": {"kind": error.kind, "detail": error.detail}})
            except LogError as error:
                # Of one topic that is not read on; the other streams of the connection are none the worse.
                await self._tell({"error": {"kind": "unreadable", "detail": str(error)}})

    async def end(self) -> None:
        """Stop all streams."""
        self._closed = True
        if self._revoking is not None:
            self._revoking.cancel()
        await self._stop_pumps()

    def revoke(self, kind: str, detail: str) -> None:
        """The client may have no streams any more, not even what waits for it."""
        if self._revoking is None:
            self._revoking = asyncio.create_task(self._revoke(kind, detail))

    async def _revoke(self, kind: str, detail: str) -> None:
        if not self._closed:
            self._closed = True
            await self._stop_pumps()
            with suppress(WebSocketDisconnect):
                await self._websocket.close(CLOSE_CODES[kind], _reason(kind, detail))

    async def _stop_pumps(self) -> None:
        pumps = list(self._pumps.values())
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _take(self, text: str | bytes) -> None:
        try:
            message = orjson.loads(text)
            if isinstance(message, dict) and list(message) == ["subscribe"]:
                await self._subscribe(Subscribe.model_validate(message["subscribe"]))
            elif isinstance(message, dict) and list(message) == ["unsubscribe"]:
                await self._unsubscribe(str(message["unsubscribe"]))
            else:
                raise ApiError(422, "message", "a message is {subscribe: …} or {unsubscribe: ID}")
        except orjson.JSONDecodeError as error:
            raise ApiError(422, "message", "a message is JSON") from error
        except ValidationError as error:
            said = "; ".join(
                f"{'/'.join(map(str, one['loc']))}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
            raise ApiError(422, "message", said) from error

    async def _subscribe(self, asked: Subscribe) -> None:
        name = asked.id or asked.topic
        if name in self._pumps and not self._pumps[name].done():
            raise ApiError(409, "id", "there is a stream of this id: choose another, or end it")
        if sum(not pump.done() for pump in self._pumps.values()) >= STREAMS_MAX:
            raise ApiError(429, "streams", f"a connection has at most {STREAMS_MAX} streams")
        wanted = wanted_of(self.state, self._principal, asked)
        subscription, left = await _opened(self.state, self._principal, wanted)
        with ExitStack() as undo:
            undo.callback(left)
            if self._closed:
                return
            head = own_members(name)
            await self._tell({"subscribed": name, "position": subscription.position})
            pump = asyncio.create_task(self._pump(subscription, head))
            # Not in the pump: one that is cancelled before its first step does nothing, not even at its end.
            pump.add_done_callback(lambda _: left())
            undo.pop_all()
        self._pumps[name] = pump

    async def _unsubscribe(self, name: str) -> None:
        pump = self._pumps.pop(name, None)
        if pump is None:
            raise ApiError(404, "id", "there is no stream of this id")
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        await self._tell({"unsubscribed": name})

    async def _pump(self, subscription: Subscription, head: bytes) -> None:
        """Send a stream's frames as fast as the client takes them; what it does not take waits in the stream."""
        frames = subscription.frames()
        send = self._websocket.send
        try:
            # Here, and not when it is opened: a store that is away holds up this stream only.
            await recall(self.state, subscription.wanted)
            async for frame in frames:
                await send(_message(frame, head, arrow=subscription.wanted.shape.arrow))
        except StreamEndError as end:
            await self._close(CLOSE_CODES[end.kind], _reason(end.kind, end.detail))
        except WebSocketDisconnect:
            pass
        finally:
            await frames.aclose()

    async def _tell(self, value: dict[str, Any]) -> None:
        if self._closed:
            return
        with suppress(WebSocketDisconnect):
            await self._websocket.send_text(orjson.dumps(value).decode())

    async def _close(self, code: int, reason: str) -> None:
        if not self._closed:
            self._closed = True
            await self._websocket.close(code, reason)


def _reason(kind: str, detail: str) -> str:
    # A control frame has room for 123 bytes.
    return f"{kind}: {detail}".encode()[:120].decode(errors="ignore")


def _message(frame: Frame, head: bytes, *, arrow: bool) -> dict[str, Any]:
    if arrow:
        return {"type": "websocket.send", "bytes": frame.body}
    return {"type": "websocket.send", "text": (head + frame.body).decode()}
