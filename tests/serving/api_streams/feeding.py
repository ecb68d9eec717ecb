"""A hub on a log to which rows come, and what its streams give."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from connectors.log import Log, open_log
from connectors.records import rows_record
from connectors.topics import create_topics
from schemas.accounts import CASH_MOVEMENTS
from schemas.topic import Topic
from serving.hub.frames import Frame, Shape
from serving.hub.hub import Hub
from serving.hub.position import position_of
from serving.hub.subscription import Wanted

TOPIC: Topic = CASH_MOVEMENTS
ALL = Shape(keys=None, accounts=None, arrow=False)


def movements(rows: list[tuple[str, int]]) -> pa.RecordBatch:
    """Rows of accounts, each with a number of its own."""
    count = len(rows)
    return TOPIC.batch(
        {
            "account": [row[0] for row in rows],
            "ts_event": [row[1] for row in rows],
            "ts_recv": [row[1] for row in rows],
            "movement_id": [str(row[1]) for row in rows],
            "kind": ["deposit"] * count,
            "amount": [row[1] for row in rows],
            "currency": ["USD"] * count,
        }
    )


class Feeding:
    """A log that rows are appended to, and the hub over it."""

    def __init__(self, log: Log, hub: Hub) -> None:
        self.log = log
        self.hub = hub
        self.count = 0

    async def append(self, *accounts: str, partition: int = 0) -> list[int]:
        """Append a record of rows of these accounts; their numbers."""
        numbers = list(range(self.count, self.count + len(accounts)))
        self.count += len(accounts)
        rows = list(zip(accounts, numbers, strict=True))
        record = rows_record(TOPIC, partition, movements(rows))
        await asyncio.to_thread(self.log.append, [record])
        return numbers

    async def take(self, count: int, begin: str | None = None, **options: Any) -> list[Frame]:
        """The first frames of a stream that hold so many rows."""
        wanted = wanted_of(self.log, begin, **options)
        stream = await self.hub.subscribe(wanted)
        frames, rows = [], 0
        iterator = stream.frames()
        try:
            async with asyncio.timeout(60):
                while rows < count:
                    frame = await anext(iterator)
                    frames.append(frame)
                    rows += frame.rows
        finally:
            await iterator.aclose()
            self.hub.close_subscription(stream)
        return frames


def wanted_of(log: Log, begin: str | None = None, **options: Any) -> Wanted:
    partitions = log.topics()[TOPIC.name].partitions
    chosen = {"shape": ALL, "interval_s": 0.0, **options}
    position = None if begin is None else position_of(begin, partitions)
    return Wanted(topic=TOPIC, position=position, **chosen)


@asynccontextmanager
async def feeding(home: Path, partitions: int = 1) -> AsyncIterator[Feeding]:
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        create_topics(log, partitions)
        hub = Hub(log, followed=("balances",))
        await hub.start()
        try:
            yield Feeding(log, hub)
        finally:
            await hub.stop()


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop turn until something holds."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


def numbers(frames: list[Frame]) -> list[int]:
    return [int(row["movement_id"]) for frame in frames for row in rows_in(frame)]


def rows_in(frame: Frame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = orjson.loads(b"{" + frame.body)["rows"]
    return rows
