"""Queries of market data: newest values from memory, pages of history from ClickHouse, in three formats."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pyarrow as pa
from fastapi import FastAPI

from connectors.clickhouse import connect, create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Log, Record
from connectors.records import rows_record
from schemas.bars import BARS
from schemas.book import BOOK_TOP
from schemas.breadth import BREADTH, INDEX_LEVELS
from schemas.indicators import INDICATORS
from schemas.market import TRADES
from schemas.topic import Topic
from serving.hub.hub import Hub
from tests.serving.api.apps import running

Work = Callable[[FastAPI, httpx.AsyncClient], Awaitable[None]]


def run(home: Path, work: Work, store: str = "") -> None:
    async def all_of_it() -> None:
        options = {"store": store} if store else {}
        async with running(home, **options) as (app, client):
            await work(app, client)

    asyncio.run(all_of_it())


async def append(app: FastAPI, topic: Topic, batch: pa.RecordBatch) -> None:
    """Append, and return once the hub has it."""
    state = app.state.api
    log: Log = state.log
    (offset,) = await asyncio.to_thread(log.append, [rows_record(topic, 0, batch)])
    feed = state.part(Hub)._feeds[topic.name]
    while feed.positions[0] <= offset:
        await feed.moved()


def bars(rows: list[tuple[str, str, float]]) -> pa.RecordBatch:
    count = len(rows)
    return BARS.batch(
        {
            "symbol": [row[0] for row in rows],
            "interval": [row[1] for row in rows],
            "ts_event": np.arange(count),
            "ts_start": np.zeros(count, dtype=np.int64),
            "close": [row[2] for row in rows],
            "trade_count": [1] * count,
            **{name: [0.0] * count for name in ("volume", "buy_volume", "sell_volume")},
        }
    )


def trades(symbol: str, times: list[int]) -> pa.RecordBatch:
    count = len(times)
    return TRADES.batch(
        {
            "symbol": [symbol] * count,
            "venue": ["N"] * count,
            "ts_event": times,
            "ts_recv": times,
            "price": [100.0 + number for number in range(count)],
            "size": [1.0] * count,
            "updates_high_low": [True] * count,
            "updates_last": [True] * count,
            "updates_volume": [True] * count,
            "action": ["new"] * count,
        }
    )


def test_the_newest_row_of_each_interval_is_answered_from_memory(tmp_path: Path) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        await append(app, BARS, bars([("A", "1m", 1.0), ("A", "5m", 2.0), ("B", "1m", 3.0)]))
        await append(app, BARS, bars([("A", "1m", 4.0)]))
        for query, wanted in (
            ("symbol=A", [("A", "1m", 4.0), ("A", "5m", 2.0)]),
            ("symbol=A,B&interval=1m", [("A", "1m", 4.0), ("B", "1m", 3.0)]),
            ("symbol=nothing", []),
            ("symbol=A&limit=1", [("A", "1m", 4.0)]),
        ):
            found = (await client.get(f"/v1/bars?{query}")).json()
            rows = [(row["symbol"], row["interval"], row["close"]) for row in found["rows"]]
            assert rows == wanted
            assert found["cursor"] is None
        csv = await client.get("/v1/bars?symbol=A&format=csv")
        assert pl.read_csv(csv.content)["close"].to_list() == [4.0, 2.0]
        arrow = await client.get("/v1/bars?symbol=A&format=arrow")
        table = pa.ipc.open_stream(arrow.content).read_all()
        assert table.schema.equals(BARS.schema)
        assert table.column("close").to_pylist() == [4.0, 2.0]

    run(tmp_path, work)


def test_a_wrong_query_is_a_problem_that_says_where(tmp_path: Path) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        for query, at in (
            ("", "query/symbol"),
            ("symbol=A&limit=0", "query/limit"),
            ("symbol=A&from=yesterday", "query/from"),
            ("symbol=A&format=xml", "query/format"),
            ("symbol=A&venue=N&more=1", "query/more"),
        ):
            answer = await client.get(f"/v1/quotes?{query}")
            assert answer.status_code == 422
            assert [one["at"] for one in answer.json()["errors"]] == [at]
        for query in ("symbol=,", "symbol=A,B&from=0", "symbol=A&cursor=x"):
            assert (await client.get(f"/v1/quotes?{query}")).status_code == 422

    run(tmp_path, work)


def test_books_and_the_market_at_a_glance_are_the_newest_rows(tmp_path: Path) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        top = {"symbol": ["A"], "venue": ["N"], "ts_event": [1], "number": [1]}
        prices = {"bid_1": [9.0], "bid_size_1": [2.0], "bid_2": [8.0], "ask_1": [10.0]}
        await append(app, BOOK_TOP, BOOK_TOP.batch({**top, **prices}))
        (book,) = (await client.get("/v1/book/A")).json()["books"]
        assert book["bids"] == [{"price": 9.0, "size": 2.0}, {"price": 8.0, "size": None}]
        assert book["asks"] == [{"price": 10.0, "size": None}]
        (book,) = (await client.get("/v1/book/A?depth=1")).json()["books"]
        assert len(book["bids"]) == 1
        assert (await client.get("/v1/book/B")).status_code == 404
        level = {"symbol": ["X"], "interval": ["1m"], "ts_event": [1], "divisor": [1.0]}
        await append(
            app,
            INDEX_LEVELS,
            INDEX_LEVELS.batch({**level, "level": [7.0], "members": [1], "stale": [0]}),
        )
        counts = ("members", "advances", "declines", "unchanged", "new_highs", "new_lows")
        columns = {
            "universe": ["ALL"],
            "interval": ["1m"],
            "ts_event": [1],
            "revision": [0],
            "net_advances": [1],
            **{name: [1] for name in counts},
            **{name: [1.0] for name in ("up_volume", "down_volume", "volume")},
        }
        await append(app, BREADTH, BREADTH.batch(columns))
        found = (await client.get("/v1/market/overview")).json()
        assert [row["level"] for row in found["indices"]] == [7.0]
        assert [row["advances"] for row in found["breadth"]] == [1]
        assert (await client.get("/v1/market/overview?interval=5m")).json()["breadth"] == []

    run(tmp_path, work)


def land(store_url: str, batches: list[pa.RecordBatch], topic: Topic = TRADES) -> None:
    """Land rows as records of one partition."""
    rows = [
        Decoded(Record(topic.name, 0, offset, 1, None, (), None), batch)
        for offset, batch in enumerate(batches)
    ]
    with connect(store_url) as client:
        create_tables(client)
        insert(client, topic, landed_table(topic, rows), "token")


def test_pages_of_history_give_each_row_once_in_order_of_time(
    tmp_path: Path, store_url: str
) -> None:
    """Rows of one time, in several records, are cut by a page in the middle."""
    land(store_url, [trades("A", [5, 5, 5, 7]), trades("B", [5]), trades("A", [5, 5, 6, 9])])

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        del app
        for limit in (1, 2, 3, 100):
            found: list[tuple[int, float]] = []
            cursor = ""
            while True:
                path = f"/v1/trades?symbol=A&from=5&to=9&limit={limit}{cursor}"
                page = (await client.get(path)).json()
                found += [(int(row["ts_event"][-10:-1]), row["price"]) for row in page["rows"]]
                if page["cursor"] is None:
                    break
                cursor = f"&cursor={page['cursor']}"
            assert found == [
                (5, 100.0), (5, 101.0), (5, 102.0), (5, 100.0), (5, 101.0), (6, 102.0), (7, 103.0)
            ]  # fmt: skip

    run(tmp_path, work, store_url)


def test_history_is_narrowed_by_what_is_asked_for_on_every_page(
    tmp_path: Path, store_url: str
) -> None:
    columns = {
        "symbol": ["A"] * 12,
        "interval": ["1m", "5m"] * 6,
        "ts_event": [5] * 4 + [6] * 4 + [7] * 4,
        "name": ["obv", "obv", "sma_20", "sma_20"] * 3,
        "value": [float(number) for number in range(12)],
    }
    land(store_url, [INDICATORS.batch(columns)], INDICATORS)

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        del app

        async def pages(asked: str) -> list[float]:
            found, cursor = [], ""
            while True:
                path = f"/v1/indicators?symbol=A&from=5&to=9&limit=2{asked}{cursor}"
                page = (await client.get(path)).json()
                found += [row["value"] for row in page["rows"]]
                if page["cursor"] is None:
                    return found
                cursor = f"&cursor={page['cursor']}"

        assert await pages("&interval=5m&name=sma_20") == [3, 7, 11]
        assert await pages("&interval=5m") == [1, 3, 5, 7, 9, 11]
        assert await pages("&name=obv") == [0, 1, 4, 5, 8, 9]
        assert await pages("") == list(range(12))

    run(tmp_path, work, store_url)


def test_a_damaged_cursor_of_history_is_refused_wherever_the_damage_is(
    tmp_path: Path, store_url: str
) -> None:
    land(store_url, [trades("A", [5, 7]), trades("B", [5, 7])])

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        del app
        cursor = (await client.get("/v1/trades?symbol=A&from=5&limit=1")).json()["cursor"]
        damaged = [
            cursor[:at] + ("B" if letter == "A" else "A") + cursor[at + 1 :]
            for at, letter in enumerate(cursor)
        ]
        for bad in (*damaged, "", "x", cursor[:-1], cursor[:-4], f"{cursor}AAAA", f"{cursor}!"):
            answer = await client.get("/v1/trades", params={"symbol": "A", "cursor": bad})
            assert answer.status_code == 422, bad
            assert answer.json()["type"] == "urn:tapeflow:problem:cursor"
        for path in ("trades?symbol=B", "quotes?symbol=A"):
            of_another = await client.get(f"/v1/{path}&cursor={cursor}")
            assert of_another.status_code == 422
        rest = (await client.get(f"/v1/trades?symbol=A&cursor={cursor}")).json()
        assert [row["price"] for row in rest["rows"]] == [101.0]

    run(tmp_path, work, store_url)


def test_what_memory_does_not_know_is_asked_of_the_store_once(
    tmp_path: Path, store_url: str
) -> None:
    land(store_url, [trades("A", [5, 7])])

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        hub = app.state.api.part(Hub)
        hub._whole.discard("trades")
        for _ in range(2):
            (row,) = (await client.get("/v1/trades?symbol=A")).json()["rows"]
            assert row["price"] == 101.0
        await append(app, TRADES, trades("A", [8]))
        (row,) = (await client.get("/v1/trades?symbol=A")).json()["rows"]
        assert row["price"] == 100.0

    run(tmp_path, work, store_url)


def test_a_store_that_is_away_is_said_to_be_and_memory_answers(tmp_path: Path) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        await append(app, TRADES, trades("A", [8]))
        away = await client.get("/v1/trades?symbol=A&from=0")
        assert away.status_code == 503
        assert away.json()["type"] == "urn:tapeflow:problem:store-unavailable"
        assert (await client.get("/v1/trades?symbol=A")).status_code == 200

    run(tmp_path, work)
