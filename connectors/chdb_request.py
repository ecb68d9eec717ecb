"""Requests of ClickHouse's HTTP protocol: from URL, headers and body to a statement with its data."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request

from connectors.chdb_engine import STREAMED_FORMATS
from connectors.clickhouse_statement import (
    InsertHead,
    StatementError,
    insert_head,
    is_select,
    only_reads,
    output_format,
    reads_input,
    writes_file,
)
from connectors.http_bodies import decompress, form_fields

_BOUND = "param_"
# What is part of the protocol and no setting of ClickHouse.
_RESERVED = frozenset(
    {"query", "database", "default_format", "query_id", "session_id", "session_timeout", "user"}
    | {"session_check", "password", "quota_key", "compress", "decompress", "buffer_size", "role"}
    | {"wait_end_of_query", "client_protocol_version", "stacktrace", "close_session"}
)
# Answers repeat both in their headers, where not every character may stand.
_QUERY_ID = re.compile("[ -~]{1,256}")
_FORMAT = re.compile("[A-Za-z0-9_]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, read: the statement, an INSERT's data as a file, and what it asks of the answer.

    Parameters
    ----------
    statement : bytes
        The text, an INSERT's data included where it came in the text.
    head : InsertHead or None
        Of an INSERT whose data is in ``data_fd``.
    data_fd, data_compression : int, str
        Open file of the data, and ClickHouse's name of its compression.
    format : str
        Of the answer.
    parameters : mapping of str to str
        Of the URL and of a form.
    """

    statement: bytes
    head: InsertHead | None
    data_fd: int = -1
    data_compression: str = "none"
    format: str = "TabSeparated"
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """ClickHouse's settings among the parameters."""
        return {
            name: value
            for name, value in self.parameters.items()
            if name not in _RESERVED and not name.startswith(_BOUND)
        }

    @property
    def bound(self) -> dict[str, str]:
        """Values of the statement's ``{name:Type}``."""
        return {
            name.removeprefix(_BOUND): value
            for name, value in self.parameters.items()
            if name.startswith(_BOUND)
        }

    @property
    def streamed(self) -> bool:
        """Whether the answer can go out block by block."""
        waits = self.parameters.get("wait_end_of_query", "0") in {"1", "true"}
        return not waits and self.format in STREAMED_FORMATS and is_select(self.statement)


async def read_call(request: Request, data_fd: int, most: int | None = None) -> Call:
    """Read a request whole; an INSERT's data goes to an open file.

    Parameters
    ----------
    request : Request
        The request.
    data_fd : int
        The open file.
    most : int, optional
        Bytes that its body may have, where an INSERT's data is not for this user.

    Raises
    ------
    StatementError
        Where the request asks for what is not spoken here, or its body is not what it says.
    """
    parameters = dict(request.query_params)
    named = request.headers.get("x-clickhouse-database")
    if named:
        parameters.setdefault("database", named)
    coding = request.headers.get("content-encoding", "none")
    url_statement = parameters.get("query", "").encode()
    head = insert_head(url_statement)
    if parameters.get("decompress") in {"1", "true"}:
        raise StatementError(
            "Code: 48. DB::Exception: a body in ClickHouse's block compression is not taken here: leave out "
            "decompress=1, and use Content-Encoding. (NOT_IMPLEMENTED)"
        )
    if most is None and head is not None and not url_statement[head.data_at :].strip(b" \n\t;"):
        async for part in request.stream():
            _write(data_fd, part)
        coding = {"identity": "none", "": "none"}.get(coding, coding)
        return Call(
            statement=url_statement,
            head=head,
            data_fd=data_fd,
            data_compression=coding,
            parameters=parameters,
        )
    body = decompress(await _body(request, most), coding, most)
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        fields = form_fields(kind, body)
        parameters |= fields
        body = fields.get("query", "").encode()
        url_statement = b""
    text = url_statement + b"\n" + body if url_statement and body else url_statement or body
    if reads_input(text):
        # The engine would read nothing, and say that all went well.
        raise StatementError(
            "Code: 48. DB::Exception: the function input() is not spoken here: insert the data with "
            "INSERT INTO … FORMAT …, into a temporary table where it must be changed on the way. "
            "(NOT_IMPLEMENTED)"
        )
    wanted = parameters.get("default_format") or request.headers.get("x-clickhouse-format")
    if wanted and not _FORMAT.fullmatch(wanted):
        raise StatementError(
            "Code: 73. DB::Exception: the name of a format has letters, digits and _ only. (UNKNOWN_FORMAT)"
        )
    head = insert_head(text)
    if head is None and writes_file(text):
        # The engine would write a file where the store runs, and answer nothing.
        raise StatementError(
            "Code: 358. DB::Exception: INTO OUTFILE is not allowed: the answer comes over HTTP, in the FORMAT "
            "that is asked for; write it into a file there. (INTO_OUTFILE_NOT_ALLOWED)"
        )
    if head is not None:
        _write(data_fd, memoryview(text)[head.data_at :])
    own = None if head is not None else output_format(text)
    return Call(
        statement=text,
        head=head,
        data_fd=data_fd,
        format=own or wanted or "TabSeparated",
        parameters=parameters,
    )


async def _body(request: Request, most: int | None) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if most is not None and size > most:
            raise StatementError(
                f"Code: 354. DB::Exception: the body of a statement has at most {most:,} bytes"
            )
        parts.append(part)
    return b"".join(parts)


def query_id_of(request: Request) -> str | None:
    """What the client calls its query, where it says so.

    Raises
    ------
    StatementError
        Where it cannot stand in a header of the answer.
    """
    given = request.query_params.get("query_id")
    if given and not _QUERY_ID.fullmatch(given):
        raise StatementError(
            "Code: 36. DB::Exception: a query_id has 1 to 256 printable characters of ASCII. (BAD_ARGUMENTS)"
        )
    return given


def refuse_change_by_get(request: Request, call: Call) -> None:
    """Refuse a GET that would change something: links and pages are followed without a thought."""
    if request.method == "GET" and not only_reads(call.statement):
        raise StatementError(
            "Code: 164. DB::Exception: Cannot execute query in readonly mode. For queries over HTTP, "
            "method GET implies readonly. You should use method POST for modifying queries. (READONLY)"
        )


def refuse_other_origins(request: Request) -> None:
    """Refuse a request that a web page made, unless it is the store's own."""
    # A web page open in the same machine's browser must not reach the store behind the user's back.
    origin = request.headers.get("origin")
    if origin and origin.partition("://")[2] != request.headers.get("host"):
        raise StatementError(
            f"Code: 497. DB::Exception: requests of pages of {origin} are refused. (ACCESS_DENIED)"
        )


def _write(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def memory_file() -> Iterator[int]:
    """A file without a name, in memory."""
    fd = os.memfd_create("insert")
    try:
        yield fd
    finally:
        os.close(fd)
