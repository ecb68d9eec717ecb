"""How streams of the hub end: each with its reason, and the others go on."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.log import LogError
from connectors.records import rows_record
from schemas.orders import ORDERS
from serving.hub import subscription as streams
from serving.hub.frames import Frame
from serving.hub.position import PositionError
from serving.hub.subscription import StreamEndError
from tests.serving.api_streams.feeding import (
    ALL,
    TOPIC,
    feeding,
    movements,
    numbers,
    until,
    wanted_of,
)


async def _drain(frames: AsyncIterator[Frame], got: list[Frame]) -> None:
    while True:
        got.append(await anext(frames))


def test_a_slow_client_is_cut_off_with_the_reason_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "QUEUE_FRAMES", 5)
    monkeypatch.setattr("serving.hub.hub._RECORDS_A_TURN", 1)

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            slow = await feed.hub.subscribe(wanted_of(feed.log))
            iterator = slow.frames()
            first = asyncio.create_task(anext(iterator))
            fast = asyncio.create_task(feed.take(20, interval_s=0))
            await until(lambda: len(feed.hub._feeds[TOPIC.name]._plain.get(ALL, ())) == 2)
            for _ in range(20):
                await feed.append("A")
            got = [await first]
            assert numbers(await fast) == list(range(20))
            with pytest.raises(StreamEndError) as end:
                await _drain(iterator, got)
            assert end.value.kind == "slow"
            assert numbers(got) == list(range(len(got)))
            rest = await feed.take(20 - len(got), got[-1].position)
            assert numbers(got + rest) == list(range(20))
            feed.hub.close_subscription(slow)

    asyncio.run(work())


def test_a_position_that_was_trimmed_is_said_to_be(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            for _ in range(5):
                await feed.append("A")
            feed.log.trim(TOPIC.name, 0, 3)
            with pytest.raises(StreamEndError) as end:
                await feed.take(1, "0:1")
            assert end.value.kind == "trimmed"
            assert numbers(await feed.take(2, "0:3")) == [3, 4]
            with pytest.raises(PositionError, match="has not been written"):
                await feed.take(1, "0:6")

    asyncio.run(work())


def test_the_end_of_the_server_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            stream = await feed.hub.subscribe(wanted_of(feed.log))
            iterator = stream.frames()
            following = asyncio.create_task(anext(iterator))
            await asyncio.sleep(0)
        with pytest.raises(StreamEndError) as end:
            await following
        assert end.value.kind == "closing"

    asyncio.run(work())


def test_a_topic_with_a_record_that_is_none_of_its_own_is_not_read_on_and_says_so(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            stream = await feed.hub.subscribe(wanted_of(feed.log))
            following = asyncio.create_task(anext(stream.frames()))
            record = rows_record(TOPIC, 0, movements([("A", 0)]))
            feed.log.append([dataclasses.replace(record, value=b"no Arrow")])
            with pytest.raises(StreamEndError, match="not an Arrow IPC stream") as end:
                await following
            assert end.value.kind == "unreadable"
            with pytest.raises(LogError, match=f"{TOPIC.name} is not read on"):
                await feed.hub.subscribe(wanted_of(feed.log))
            assert list(feed.hub.failed) == [TOPIC.name]
            with pytest.raises(LogError, match=f"{TOPIC.name} is not read on"):
                feed.hub.view(TOPIC.name)
            assert feed.hub.orders.accounts() == []
            # The others go on.
            other = await feed.hub.subscribe(dataclasses.replace(stream.wanted, topic=ORDERS))
            taking = asyncio.create_task(anext(other.frames()))
            row = {"account": "A", "command": "new", "order_id": "1", "order_class": "simple"}
            feed.log.append([rows_record(ORDERS, 0, ORDERS.batch_of_rows([row]))])
            async with asyncio.timeout(60):
                assert (await taking).rows == 1
                feed.log.append([dataclasses.replace(record, topic=ORDERS.name)])
                await until(lambda: ORDERS.name in feed.hub.failed)
                with pytest.raises(LogError, match="orders is not read on"):
                    _ = feed.hub.orders

    asyncio.run(work())
