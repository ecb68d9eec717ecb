"""ClickHouse's HTTP protocol over chDB: an ASGI application that clients take for a server.

https://clickhouse.com/docs/interfaces/http says what a server does. Who asks, says `store_door`; what becomes of
a statement before it runs, `chdb_admission`. Not here: bodies in ClickHouse's own block
compression (``decompress=1``; answers can be in it), external tables, and data for ``INSERT … SELECT … FROM input()``.
"""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from connectors.chdb_address import STORE_HEADER
from connectors.chdb_admission import READER_BODY_BYTES, Admitted, admit, on_behalf
from connectors.chdb_engine import Answer, Engine, Session
from connectors.chdb_request import (
    Call,
    memory_file,
    query_id_of,
    read_call,
    refuse_change_by_get,
    refuse_other_origins,
)
from connectors.chdb_sessions import Sessions
from connectors.clickhouse_statement import StatementError
from connectors.crash_points import crash_point
from connectors.http_bodies import block_compressor, compressor, plain
from connectors.store_door import StoreDoor, knock_of
from connectors.store_key import ON_BEHALF
from connectors.store_quotas import Quotas, Statement
from connectors.store_users import StoreRole, StoreUser

# Queries use both cores each; more at once only wait in the engine instead of here.
_QUERIES_AT_ONCE = 16
# Whatever analysts run, the platform's own programs find a thread.
_BOUND_AT_ONCE = 12
_EXCEPTION = b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n"
_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
}
# As HTTPHandler's exceptionCodeToHTTPStatus of ClickHouse; every other code is a 500.
_STATUS = (
    {194: 401, 192: 403, 193: 403, 516: 403, 497: 403, 159: 408, 229: 413, 48: 501, 201: 429}
    | {202: 429, 164: 403, 452: 403, 512: 403}
    | dict.fromkeys((209, 439, 76), 503)
    | dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336), 404)
    | dict.fromkeys(
        (6, 26, 27, 33, 36, 38, 41, 42, 43, 53, 62, 69, 70, 72, 117, 302, 456, 457), 400
    )
)


def application(engine: Engine) -> Starlette:
    """The protocol as an ASGI application over an open engine."""
    protocol = _Protocol(engine)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        protocol.close()

    return Starlette(
        routes=[
            Route("/ping", protocol.ping),
            Route("/replicas_status", protocol.ping),
            Route("/", protocol.statement, methods=["GET", "POST"]),
        ],
        lifespan=lifespan,
    )


class _Protocol:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sessions = Sessions(engine)
        self._door = StoreDoor(engine.path)
        self._quotas = Quotas()
        self._threads = ThreadPoolExecutor(_QUERIES_AT_ONCE, thread_name_prefix="store")
        self._bound_threads = ThreadPoolExecutor(_BOUND_AT_ONCE, thread_name_prefix="analysts")
        # One password at a time: to hash one takes a core and 64 MB.
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="passwords")

    def close(self) -> None:
        for threads in (self._threads, self._bound_threads, self._hashing):
            threads.shutdown(wait=True)
        self._sessions.close()

    async def ping(self, _: Request) -> Response:
        return PlainTextResponse("Ok.\n", headers={STORE_HEADER: str(self._engine.path)})

    async def statement(self, request: Request) -> Response:
        headers = {"X-ClickHouse-Server-Display-Name": "tapeflow"}
        try:
            headers["X-ClickHouse-Query-Id"] = query_id_of(request) or str(uuid.uuid4())
            refuse_other_origins(request)
            user = await self._user(request)
            with memory_file() as data_fd:
                writes = user.role in {StoreRole.ADMIN, StoreRole.LANDER}
                call = await read_call(request, data_fd, None if writes else READER_BODY_BYTES)
                if not call.statement.strip():
                    return await self.ping(request)
                refuse_change_by_get(request, call)
                return await self._answer(call, user, headers, request.headers)
        except StatementError as error:
            return Response(
                f"{error}\n",
                status_code=_STATUS.get(error.code, 500),
                media_type="text/plain; charset=UTF-8",
                headers={**headers, "X-ClickHouse-Exception-Code": str(error.code)},
            )

    async def _user(self, request: Request) -> StoreUser:
        client = request.client.host if request.client else None
        knock = knock_of(request.headers, request.query_params, client)
        user = self._door.known(knock)
        if user is None:
            loop = asyncio.get_running_loop()
            user = await loop.run_in_executor(self._hashing, self._door.enter, knock)
        return on_behalf(user, request.headers.get(ON_BEHALF))

    async def _answer(
        self, call: Call, user: StoreUser, headers: dict[str, str], asked: Mapping[str, str]
    ) -> Response:
        loop = asyncio.get_running_loop()
        threads = self._bound_threads if user.is_bound else self._threads
        if user.is_bound:
            # To check a text takes milliseconds.
            admitted = await loop.run_in_executor(threads, admit, call, user)
        else:
            admitted = admit(call, user)
        call = admitted.call
        headers |= {
            "X-ClickHouse-Format": call.format,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "Content-Type": _CONTENT_TYPES.get(call.format, "application/octet-stream"),
        }
        wanted = call.parameters.get("enable_http_compression", "0") in {"1", "true"}
        encoding, compress = compressor(asked.get("accept-encoding", "") if wanted else "")
        if call.parameters.get("compress", "0") in {"1", "true"}:
            encoding, compress = "", block_compressor
        if encoding:
            headers["Content-Encoding"] = encoding
        if call.streamed:
            blocks = _Blocks(self._stream(admitted, user))
            # The first block is waited for, so that a refused statement gets its own status.
            first = await loop.run_in_executor(threads, blocks.next)
            tag = uuid.uuid4().hex[:16]
            headers["X-ClickHouse-Exception-Tag"] = tag
            return _Stream(
                self._rest(first, blocks, compress, tag.encode(), threads), headers=headers
            )
        answer = await loop.run_in_executor(threads, self._run, admitted, user)
        headers["X-ClickHouse-Summary"] = orjson.dumps(_summary(answer)).decode()
        body = answer.body
        if body and compress is not plain:
            part, end = compress()
            body = await loop.run_in_executor(threads, lambda: part(answer.body) + end())
        elif encoding:
            del headers["Content-Encoding"]
        return Response(body, headers=headers)

    async def _rest(
        self,
        first: bytes,
        blocks: "_Blocks",
        compress: Any,
        tag: bytes,
        threads: ThreadPoolExecutor,
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        part, end = compress()
        try:
            block = first
            while block:
                coded = part(block)
                if coded:
                    yield coded
                block = await loop.run_in_executor(threads, blocks.next)
            rest = end()
            if rest:
                yield rest
        except StatementError as error:
            # The status is sent already: clients find the error by the tag, and the broken
            # connection tells those that do not look for it that the result is not whole.
            text = f"{error}\n".encode()
            yield part(_EXCEPTION % (tag, text, len(text), tag)) + end()
            raise
        finally:
            # A client that went away leaves the query where it is: its end frees the session.
            await loop.run_in_executor(threads, blocks.close)

    def _run(self, admitted: Admitted, user: StoreUser) -> Answer:
        call = admitted.call
        with self._counted(user) as taken, self._session(admitted) as session:
            if call.head is not None:
                crash_point("store: insert received")
                answer = session.insert(call.head, call.data_fd, call.data_compression)
                crash_point("store: inserted")
                return answer
            answer = session.run(call.statement, call.format)
            taken.read_rows = answer.read_rows
            taken.sent(len(answer.body))
            return answer

    def _stream(self, admitted: Admitted, user: StoreUser) -> Generator[bytes]:
        call = admitted.call
        with self._counted(user) as taken, self._session(admitted) as session:
            for block in session.stream(call.statement, call.format, taken.read):
                taken.sent(len(block))
                yield block

    @contextmanager
    def _counted(self, user: StoreUser) -> Iterator[Statement]:
        if not user.is_bound:
            yield Statement()
            return
        with self._quotas.statement(user.name, user.limits, user.quota) as taken:
            yield taken

    @contextmanager
    def _session(self, admitted: Admitted) -> Iterator[Session]:
        call = admitted.call
        if admitted.roles is not None:
            # What a bound user could keep in a session, its rights would not let it make.
            with self._engine.session() as session:
                admitted.confirm(session)
                session.restrict(admitted.roles, admitted.settings)
                session.bind(call.bound)
                yield session
            return
        with self._sessions.borrow(call, admitted.settings) as session:
            session.bind(call.bound)
            yield session


class _Stream(StreamingResponse):
    """A streamed answer that is broken off where its statement fails: the client is told, it is no fault."""

    async def stream_response(self, send: Send) -> None:
        with contextlib.suppress(StatementError):
            await super().stream_response(send)


class _Blocks:
    """A result's blocks, fetched by one thread at a time, whichever; closing waits for the fetch."""

    def __init__(self, blocks: Generator[bytes]) -> None:
        self._blocks = blocks
        self._lock = threading.Lock()

    def next(self) -> bytes:
        with self._lock:
            return next(self._blocks, b"")

    def close(self) -> None:
        with self._lock:
            self._blocks.close()


def _summary(answer: Answer) -> dict[str, str]:
    return {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": str(answer.written_rows),
        "written_bytes": "0",
        "total_rows_to_read": "0",
        "result_rows": str(answer.written_rows or answer.result_rows),
        "result_bytes": str(len(answer.body)),
        "elapsed_ns": str(answer.elapsed_ns),
    }
