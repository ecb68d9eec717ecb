"""ClickHouse, embedded or a server, through clickhouse-connect: tables, views, inserts that are safe to repeat."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from urllib3.exceptions import HTTPError

from connectors.chdb_address import Address, running_store, store_path
from connectors.chdb_engine import StoreError
from connectors.patience import GivenUpError, Patience
from connectors.sql_texts import sql_folder
from connectors.store_key import PROGRAMS, program_key
from connectors.store_refusals import KINDS, StoreRefusedError, advice, cause_of
from schemas.clickhouse_ddl import create_table
from schemas.registry import TOPICS
from schemas.topic import Topic

T = TypeVar("T")

_PORT = 8123
# How long a store that another process is just opening may take until it answers.
_OPENING_S = 10.0
# Inserts below this are many and small: threads and compression cost more than such a one is (measured:
# 5.8 ms instead of 11.3 for 500 rows).
_SMALL_INSERT_BYTES = 4 << 20
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")
_PLAIN = pa.ipc.IpcWriteOptions(use_threads=False)
# How long an answer may take; an analyst's query may be a long one.
_ANSWER_S = 300
_CONNECT_S = 10
# Above every insert of ours, so that ClickHouse neither cuts nor gathers them: one insert, one block.
_ONE_BLOCK_ROWS = 4_000_000
_ONE_BLOCK_BYTES = 1 << 30


class StoreLink:
    """A store at a URL, reached anew when it was restarted.

    Parameters
    ----------
    url : str
        ``chdb:///path`` (relative) or ``chdb:////path`` (absolute), the running `tapeflow store` of
        that folder; or ``clickhouse://user:password@host:8123/database`` (``clickhouses`` for TLS).
    patience_s : float
        How long an unreachable store is tried again before `StoreError` is raised.
    answer_s : int
        How long an answer may take; then the connection is left for a new one.
    in_process : bool
        Whether a ``chdb`` store that is not running is served by this process meanwhile.
    """

    def __init__(
        self,
        url: str,
        *,
        patience_s: float = 60.0,
        answer_s: int = _ANSWER_S,
        in_process: bool = True,
    ) -> None:
        self.url = url
        # Once it is set, an unreachable store is not waited for any more.
        self.stop: threading.Event | None = None
        self._patience_s = patience_s
        self._answer_s = answer_s
        self._lock = threading.Lock()
        self._context = contextlib.ExitStack()
        self._client: Client | None = None
        self._in_process = in_process

    def run(self, work: Callable[[Client], T], *, patience_s: float | None = None) -> T:
        """Do work with a client, again while the store cannot be reached or says "not now".

        Parameters
        ----------
        work : callable
            Safe to repeat: it may have been done although its answer was lost.
        patience_s : float, optional
            For this work alone.

        Raises
        ------
        StoreError
            Where the store stays away longer than the patience, or it is told to stop meanwhile.
        clickhouse_connect.driver.exceptions.DatabaseError
            Where ClickHouse refuses the statement.
        """
        give_up_s = self._patience_s if patience_s is None else patience_s
        patience = Patience("store", give_up_s=give_up_s, stop=self.stop)
        try:
            return patience.run(lambda: self._try(work), KINDS, cause_of)
        except GivenUpError as error:
            why = "it was told to stop while" if error.told else "given up, as"
            raise StoreError(
                f"store {self.url}: {why} it was not reachable for {error.failing_s:.1f} s, the last "
                f"answer was: {error.__cause__}. Start it (`tapeflow store`, or the server) and start "
                "again; nothing was lost"
            ) from error.__cause__

    def _try(self, work: Callable[[Client], T]) -> T:
        client = self._reach()
        try:
            return work(client)
        except KINDS as error:
            # What the client holds of a store that went away is of no use any more.
            if cause_of(error) is not None:
                self._leave(client)
            raise

    def close(self) -> None:
        """Let go of the store; one that was served by this process stops."""
        self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reach(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._context.enter_context(
                    connect(self.url, in_process=self._in_process, answer_s=self._answer_s)
                )
                # A store of another process that went away comes back by its own keeper: taking
                # its files meanwhile would keep it from starting.
                self._in_process = _served_here(self.url)
            return self._client

    def _leave(self, client: Client | None = None) -> None:
        """Let a client go, or whichever there is; not one that another thread has got anew meanwhile."""
        with self._lock:
            if client is not None and client is not self._client:
                return
            self._client = None
            self._context.close()
            self._context = contextlib.ExitStack()


@contextlib.contextmanager
def connect(url: str, *, in_process: bool = True, answer_s: int = _ANSWER_S) -> Iterator[Client]:
    """A clickhouse-connect client of the store at a URL (see `StoreLink`).

    Parameters
    ----------
    url : str
        The store.
    in_process : bool
        Whether a ``chdb`` store that is not running is served by this process meanwhile.
    answer_s : int
        How long an answer may take.

    Raises
    ------
    StoreRefusedError
        For another URL, or where the store will not have this user or database.
    StoreError
        Where the store is not running and is not to be served here, or cannot be.
    """
    parts = urlsplit(url)
    with contextlib.ExitStack() as stack:
        if parts.scheme == "chdb":
            address = stack.enter_context(_chdb_address(store_path(url), in_process=in_process))
            (database,) = parse_qs(parts.query).get("database", ["default"])
            # Who may not read the key of the platform's own programs reads market data only.
            key = program_key(store_path(url))
            user = {} if key is None else {"username": PROGRAMS, "password": key}
            client = _client(address.host, address.port, answer_s, database=database, **user)
        elif parts.scheme in {"clickhouse", "clickhouses"} and parts.hostname:
            client = _client(
                parts.hostname,
                parts.port or _PORT,
                answer_s,
                username=unquote(parts.username or "default"),
                password=unquote(parts.password or ""),
                database=unquote(parts.path.strip("/")) or "default",
                secure=parts.scheme == "clickhouses",
            )
        else:
            raise StoreRefusedError(
                f"store URL {url!r}: it must be like chdb:///data/store or "
                "clickhouse://user:password@host:8123/database"
            )
        stack.callback(client.close)
        yield client


def with_database(url: str, database: str) -> str:
    """The store's URL with another database than its own.

    Examples
    --------
    >>> with_database("chdb:///data/store", "run_trial")
    'chdb:///data/store?database=run_trial'
    >>> with_database("clickhouse://host:8123/market", "run_trial")
    'clickhouse://host:8123/run_trial'
    """
    parts = urlsplit(url)
    if parts.scheme == "chdb":
        return f"{url.partition('?')[0]}?database={database}"
    return parts._replace(path=f"/{database}").geturl()


def create_tables(client: Client) -> None:
    """Make the tables of all topics that the store does not have yet."""
    for topic in TOPICS.values():
        client.command(create_table(topic))


def create_views(client: Client) -> None:
    """Make all views, anew where they are there already."""
    for file in sorted(sql_folder("views").glob("*.sql")):
        client.command(file.read_text())


def insert(client: Client, topic: Topic, rows: pa.Table, token: str) -> None:
    """Insert landed rows as one block, once: the same token again changes nothing.

    Parameters
    ----------
    client : Client
        The store.
    topic : Topic
        Whose table.
    rows : pyarrow.Table
        As `connectors.landed.landed_table` makes it: one chunk, at most 4 M rows.
    token : str
        Names these rows; ClickHouse knows a table's newest tokens.
    """
    # Dictionaries go over as they are: 1.3 times as fast as plain strings, measured by
    # bench/bench_landing.py. LZ4 halves what is copied between the two processes; ClickHouse reads it.
    small = rows.nbytes < _SMALL_INSERT_BYTES
    options = _PLAIN if small else _LZ4
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema.remove_metadata(), options=options) as writer:
        writer.write_table(rows)
    answer = client.raw_insert(
        f"`{topic.name}`",
        column_names=rows.schema.names,
        insert_block=sink.getvalue(),
        fmt="ArrowStream",
        settings={
            "insert_deduplication_token": token,
            "insert_deduplicate": 1,
            "async_insert": 0,
            "max_insert_block_size": _ONE_BLOCK_ROWS,
            "min_insert_block_size_rows": _ONE_BLOCK_ROWS,
            "min_insert_block_size_bytes": _ONE_BLOCK_BYTES,
            **({"max_threads": 1, "max_insert_threads": 1} if small else {}),
        },
    )
    if "written_rows" not in answer.summary:
        # The end of a connection passes for the end of an answer's head.
        raise OperationalError(f"half an answer to the insert {token}: its outcome is not known")


def _client(host: str, port: int, answer_s: int, **options: str | bool) -> Client:
    # On loopback, compression costs more than it saves.
    is_far = host not in {"127.0.0.1", "localhost", "::1"}
    try:
        return clickhouse_connect.get_client(
            host=host,
            port=port,
            # A session would allow one query at a time, and its temporary tables are not needed.
            autogenerate_session_id=False,
            compress=is_far,
            settings={} if is_far else {"output_format_arrow_compression_method": "none"},
            client_name="tapeflow",
            connect_timeout=_CONNECT_S,
            send_receive_timeout=answer_s,
            **options,  # type: ignore[arg-type]
        )
    except (ClickHouseError, HTTPError, OSError) as error:
        if isinstance(error, DatabaseError) and cause_of(error) is None:
            raise StoreRefusedError(f"store at {host}:{port}: {error}; {advice(error)}") from error
        raise StoreError(
            f"store at {host}:{port} does not answer as ClickHouse: {error}"
        ) from error


def _served_here(url: str) -> bool:
    return url.startswith("chdb:") and store_path(url) in _SERVED


@contextlib.contextmanager
def _chdb_address(path: Path, *, in_process: bool) -> Iterator[Address]:
    end_s = time.monotonic() + _OPENING_S
    while True:
        address = None if path in _SERVED else running_store(path)
        if address is not None:
            yield address
            return
        if not in_process and path not in _SERVED:
            raise StoreError(f"store {path}: it is not running; start it with `tapeflow store`")
        try:
            here = _take_served(path)
        except StoreError:
            # Another process opens it at this moment and will say where it is.
            if time.monotonic() >= end_s:
                raise
            time.sleep(0.05)
            continue
        try:
            yield here
        finally:
            _drop_served(path)
        return


# Stores that this process serves: address, how many use it, and how it is stopped.
_SERVED: dict[Path, tuple[Address, int, contextlib.ExitStack]] = {}
_SERVED_LOCK = threading.Lock()


def _take_served(path: Path) -> Address:
    # Most programs find a store that runs.
    from connectors.chdb_server import run_in_thread  # noqa: PLC0415 - a server takes a fifth of a second to load

    with _SERVED_LOCK:
        if path in _SERVED:
            address, users, stack = _SERVED[path]
        else:
            stack = contextlib.ExitStack()
            address, users = stack.enter_context(run_in_thread(path)), 0
        _SERVED[path] = (address, users + 1, stack)
        return address


def _drop_served(path: Path) -> None:
    with _SERVED_LOCK:
        address, users, stack = _SERVED[path]
        if users > 1:
            _SERVED[path] = (address, users - 1, stack)
            return
        del _SERVED[path]
        stack.close()
