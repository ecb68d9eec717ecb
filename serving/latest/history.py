"""What memory does not hold any more: questions to ClickHouse, by the queries of ``sql/api``, with parameters only."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import orjson
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from connectors.clickhouse import StoreLink
from connectors.sql_texts import sql_folder
from schemas.field import INT64, TEXT, TIMESTAMP
from schemas.topic import Topic
from serving.latest.groups import group_fields

T = TypeVar("T")

# An API's client waits: a store that is away is said to be so at once.
_PATIENCE_S = 2.0
_ANSWER_S = 30
# Questions at once; more wait for one another, and not all threads for the store.
_AT_ONCE = 8
# ClickHouse's code for a table that is not there: nothing of the topic has landed.
_NO_TABLE = "UNKNOWN_TABLE"
# What a line of a query ends with that is there only where its parameters are: each condition takes time.
_OPTIONAL = "where given"
_PARAMETER = re.compile(r"\{(\w+):")
LONGEST_LIMIT = 10_000
# As `schemas.json_codec` writes rows: times as RFC 3339, decimals as texts with all their places.
_JSON = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
    "output_format_decimal_trailing_zeros": 1,
    # A statement that fails in the midst of its answer has none.
    "wait_end_of_query": 1,
    # A page is read in order and is small: more threads only wait for one another, a fourteenth of its time.
    "max_threads": 1,
    "output_format_parallel_formatting": 0,
}
# What a line ends with that is no field of the row. Within a text, quotes are escaped.
_PLACE = re.compile(rb',"_partition":[0-9]+,"_offset":[0-9]+,"_row":[0-9]+\}\n')

Key = tuple[int, int, int, int]
"""Event time, partition, offset and row: what pages are cut by."""


class HistoryError(RuntimeError):
    """ClickHouse does not answer; the message says why."""


class History:
    """Landed rows.

    Parameters
    ----------
    store : str
        URL of the store.
    """

    name = "history"

    def __init__(self, store: str) -> None:
        self._link = StoreLink(store, patience_s=_PATIENCE_S, answer_s=_ANSWER_S, in_process=False)
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def start(self) -> None:
        """Nothing: the store may come later than the API."""

    async def stop(self) -> None:
        """Let go of the store."""
        await asyncio.to_thread(self._link.close)

    async def between(self, page: "Page") -> tuple[pa.RecordBatch, Key | None]:
        """Rows in order of event time, and where the next page begins, if there may be one."""
        found = await self.ask("rows_between", **page.parameters)
        after = _key_of(found) if found.num_rows == page.limit else None
        return rows_of(page.topic, found), after

    async def lines_between(self, page: "Page") -> tuple[bytes, Key | None]:
        """As `between`, the rows as JSON objects with commas between them, as ClickHouse writes them.

        A third of a page's time went into rows that were read from Arrow to be written as JSON. Of a topic without
        bytes (which JSON has as base64).
        """
        parameters = page.parameters

        def read(client: Client) -> tuple[bytes, Key | None]:
            text = _text("rows_between", frozenset(parameters))
            lines = client.raw_query(text, parameters, settings=_JSON, fmt="JSONEachRow")
            rows, count = _PLACE.subn(b"},", lines)
            return rows[:-1], _key_of_line(lines) if count == page.limit else None

        return await self.run(read, (b"", None))

    async def newest(self, topic: Topic, keys: list[str], limit: int) -> pa.RecordBatch:
        """The newest row of each group of some keys."""
        within = [*group_fields(topic)[1:], topic.key, topic.key]
        found = await self.ask(
            "newest_rows",
            table=topic.name,
            key_field=topic.key,
            keys=keys,
            field_1=within[0],
            field_2=within[1],
            limit=limit,
        )
        return rows_of(topic, found)

    async def ask(self, query: str, **parameters: Any) -> pa.Table:
        """The answer to a query of ``sql/api``; no rows where its table is not there yet.

        Raises
        ------
        HistoryError
            Where the store does not answer.
        """

        def read(client: Client) -> pa.Table:
            text = _text(query, frozenset(parameters))
            return client.query_arrow(text, parameters=parameters)

        return await self.run(read, pa.table({}))

    async def run(self, read: Callable[[Client], T], nothing: T) -> T:
        """What is read from the store; ``nothing`` where the table is not there yet.

        Raises
        ------
        HistoryError
            Where the store does not answer.
        """
        async with self._places:
            return await asyncio.to_thread(self._run, read, nothing)

    def _run(self, read: Callable[[Client], T], nothing: T) -> T:
        try:
            return self._link.run(read)
        except DatabaseError as error:
            if _NO_TABLE in str(error):
                return nothing
            raise
        except (RuntimeError, ClickHouseError, OSError) as error:
            raise HistoryError(f"the store does not answer: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which rows of a key.

    Parameters
    ----------
    topic : Topic
        Of the rows.
    key : str
        Whose.
    narrowed : dict of str to str
        At most two more fields of `group_fields`, and their values.
    start_ns, end_ns : int
        From (inclusive), to (exclusive), ns since 1970 UTC.
    behind : tuple or None
        The row behind which the page begins.
    limit : int
        Rows of the page.
    """

    topic: Topic
    key: str
    narrowed: dict[str, str]
    start_ns: int
    end_ns: int
    behind: Key | None
    limit: int

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the query."""
        return {
            "table": self.topic.name,
            "key_field": self.topic.key,
            "key": self.key,
            "end": self.end_ns,
            "limit": self.limit,
            **_narrowing(self.narrowed),
            **({"start": self.start_ns} if self.behind is None else _place(self.behind)),
        }


@cache
def _text(query: str, given: frozenset[str]) -> str:
    """A query without its comments, and without the lines that its parameters do not need."""
    lines = (sql_folder("api") / f"{query}.sql").read_text().splitlines()
    return "\n".join(
        text
        for text, _, mark in (line.partition("--") for line in lines)
        if text and (mark.strip() != _OPTIONAL or given.issuperset(_PARAMETER.findall(text)))
    )


def rows_of(topic: Topic, found: pa.Table) -> pa.RecordBatch:
    """ClickHouse's answer as rows of a topic."""
    if found.num_rows == 0:
        return topic.empty()
    table = found.combine_chunks()
    return topic.batch({field.name: table.column(field.name) for field in topic.fields})


def _narrowing(fields: dict[str, str]) -> dict[str, str]:
    numbered = list(enumerate(fields.items(), 1))
    return {
        **{f"field_{number}": name for number, (name, _) in numbered},
        **{f"value_{number}": value for number, (_, value) in numbered},
    }


def _place(key: Key) -> dict[str, int]:
    return dict(zip(("start", "partition", "offset", "row"), key, strict=True))


def _key_of(found: pa.Table) -> Key:
    last = found.slice(found.num_rows - 1, 1)
    time = last.column("ts_event").cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())[0].as_py()
    places = [last.column(name)[0].as_py() for name in ("_partition", "_offset", "_row")]
    return (time, places[0], places[1], places[2])


def _key_of_line(lines: bytes) -> Key:
    last = orjson.loads(lines[lines.rfind(b"\n", 0, -1) + 1 :])
    time = pa.array([last["ts_event"]], TEXT).cast(TIMESTAMP).cast(INT64)[0].as_py()
    return (time, last["_partition"], last["_offset"], last["_row"])
