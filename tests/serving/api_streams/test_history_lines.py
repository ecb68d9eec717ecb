"""Rows as ClickHouse writes them for a page of history, against what `schemas.json_codec` writes of the same rows."""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa

from connectors.clickhouse import connect, create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.field import BYTES, CATEGORY, DECIMAL, FLOAT, TEXT, TIMESTAMP
from schemas.json_codec import encode_lines
from schemas.topic import Topic
from serving.api.query_times import END_NS, START_NS
from serving.latest.history import History, Page
from tests.golden.rows import ALL, golden_rows

# What would end a line, a text or the place behind a row, were it not escaped.
_TEXT = 'a"b\\c/d\n\r\t\x01\x7f\u2028Zürich ☃,"_partition":1,"_offset":2,"_row":3}\n{"x":'
_HARD = {
    TEXT: _TEXT,
    CATEGORY: _TEXT,
    # Before 1970, with nine places.
    TIMESTAMP: -1_123_456_789_123_456_789,
    FLOAT: 1.7976931348623157e308,
    DECIMAL: Decimal(0),
}


def _rows(topic: Topic) -> pa.RecordBatch:
    """The golden rows, and one of values that are hard to write."""
    rows: list[dict[str, Any]] = golden_rows(topic)
    hard = dict(rows[0])
    for field in topic.fields:
        if field.type in _HARD and not field.allowed:
            hard[field.name] = _HARD[field.type]
    rows.append(hard)
    return topic.batch({field.name: [row[field.name] for row in rows] for field in topic.fields})


def _page(topic: Topic, key: str, limit: int) -> Page:
    return Page(
        topic=topic,
        key=key,
        narrowed={},
        start_ns=START_NS,
        end_ns=END_NS,
        behind=None,
        limit=limit,
    )


def test_a_page_says_the_same_as_rows_written_here(store_url: str) -> None:
    """Of every topic without bytes; a whole float is written without a point, which JSON does not tell apart."""
    topics = [topic for topic in ALL if not any(field.type == BYTES for field in topic.fields)]
    with connect(store_url) as client:
        create_tables(client)
        for topic in topics:
            rows = Decoded(Record(topic.name, 0, 77, 1, None, (), None), _rows(topic))
            insert(client, topic, landed_table(topic, [rows]), "token")

    async def compare() -> int:
        history, compared = History(store_url), 0
        try:
            for topic in topics:
                keys = set(_rows(topic).column(topic.key).to_pylist())
                for page in (_page(topic, key, limit) for key in keys for limit in (1, 10)):
                    rows, behind = await history.between(page)
                    lines, same = await history.lines_between(page)
                    wanted = [orjson.loads(one) for one in encode_lines(topic, rows).splitlines()]
                    assert orjson.loads(b"[%b]" % lines) == wanted, (topic.name, page.key)
                    assert same == behind
                    compared += len(wanted)
        finally:
            await history.stop()
        return compared

    # Four rows of a topic, and the first of each key a second time.
    assert asyncio.run(compare()) >= 5 * len(topics)


def test_a_topic_of_which_nothing_has_landed_has_an_empty_page(store_url: str) -> None:
    async def ask() -> tuple[bytes, object]:
        history = History(store_url)
        try:
            return await history.lines_between(_page(ALL[0], "A", 5))
        finally:
            await history.stop()

    assert asyncio.run(ask()) == (b"", None)
