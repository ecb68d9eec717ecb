"""Streams of the hub: every row once whatever breaks, the newest where conflated, and nobody waits for a slow one."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.records import watermarks_batch, watermarks_record
from serving.hub.frames import Frame, Shape
from serving.hub.position import PositionError, position_of, position_text
from tests.serving.api_streams.feeding import (
    ALL,
    TOPIC,
    feeding,
    numbers,
    rows_in,
    until,
    wanted_of,
)


def test_what_comes_is_streamed_with_the_position_behind_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append("A", "B")
            taking = asyncio.create_task(feed.take(3, "0:0"))
            await feed.append("A")
            frames = await taking
            assert [(frame.position, frame.rows) for frame in frames] == [("0:1", 2), ("0:2", 1)]
            assert orjson.loads(b"{" + frames[0].body)["position"] == "0:1"
            assert numbers(frames) == [0, 1, 2]

    asyncio.run(work())


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.sampled_from("ABC"), min_size=1, max_size=5)),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 4),
    st.sampled_from([None, frozenset("A"), frozenset("BC")]),
)
def test_no_gap_and_no_double_however_often_the_client_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[tuple[int, list[str]]],
    taken: int,
    keys: frozenset[str] | None,
) -> None:
    """A client that takes a few rows, goes, and resumes where it was, while rows are appended all the time."""

    async def work() -> None:
        async with feeding(tmp_path_factory.mktemp("stream"), partitions=2) as feed:
            wanted: dict[int, list[int]] = {0: [], 1: []}

            async def append() -> None:
                for partition, accounts in records:
                    came = await feed.append(*accounts, partition=partition)
                    shown = zip(accounts, came, strict=True)
                    wanted[partition] += [n for name, n in shown if keys is None or name in keys]

            appending = asyncio.create_task(append())
            position, got = "0:0,1:0", []
            total = sum(keys is None or name in keys for _, names in records for name in names)
            shape = Shape(keys=keys, accounts=None, arrow=False)
            while len(got) < total:
                frames = await feed.take(min(taken, total - len(got)), position, shape=shape)
                position = frames[-1].position
                got += numbers(frames)
            await appending
            assert sorted(got) == sorted(wanted[0] + wanted[1])
            for partition in (0, 1):
                assert [n for n in got if n in wanted[partition]] == wanted[partition]

    asyncio.run(work())


def test_a_record_of_many_rows_is_cut_and_resumed_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.hub.frames.FRAME_ROWS", 3)

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append(*"ABCABCAB")
            (first,) = await feed.take(3, "0:0")
            assert first.position == "0:0.3"
            rest = await feed.take(5, first.position)
            assert [frame.position for frame in rest] == ["0:0.6", "0:1"]
            assert numbers([first, *rest]) == list(range(8))

    asyncio.run(work())


def test_a_conflated_stream_has_the_newest_row_of_each_key_and_resumes(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append(*"ABABAB")
            (first,) = await feed.take(1, "0:0", interval_s=0.01)
            assert sorted(numbers([first])) == [4, 5]
            assert first.position == "0:1"
            begun = asyncio.create_task(feed.take(2, first.position, interval_s=0.05))
            await until(lambda: bool(feed.hub._subscriptions))
            for _ in range(20):
                await feed.append("A", "C")
            frames = await begun
            assert [row["account"] for frame in frames for row in rows_in(frame)][:2] == ["A", "C"]

    asyncio.run(work())


def test_of_a_conflated_stream_that_is_left_nothing_stays(tmp_path: Path) -> None:
    """One that waits for the end of its interval would be kept, and its keys, for as long as that lasts."""

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            # It keeps the topic followed.
            other = await feed.hub.subscribe(wanted_of(feed.log, interval_s=0.001))
            hours = wanted_of(feed.log, interval_s=7200.0)
            streams = [await feed.hub.subscribe(hours) for _ in range(2)]
            followed = feed.hub._feeds[TOPIC.name]
            both = [one for one in followed._conflated.values() if len(one.subscribers) == 2]
            held = weakref.ref(both.pop())
            await feed.append("A")
            await until(lambda: followed.view.change == 1 and held() not in followed.idle)
            for stream in streams:
                assert held() is not None
                feed.hub.close_subscription(stream)
            del stream, streams
            gc.collect()
            assert held() is None
            feed.hub.close_subscription(other)

    asyncio.run(work())


def test_a_conflated_stream_ends_with_the_last_row_of_every_key(tmp_path: Path) -> None:
    """Whatever was left out in between, what a client holds in the end is what the log says."""

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            stream = await feed.hub.subscribe(wanted_of(feed.log, interval_s=0.005))
            held: dict[str, int] = {}
            frames = stream.frames()
            reading = asyncio.create_task(_hold(frames, held, until=299))
            await until(lambda: stream._group is not None)
            for number in range(100):
                await feed.append(*("ABC", "CAB", "BCA")[number % 3])
            async with asyncio.timeout(60):
                await reading
            await frames.aclose()
            feed.hub.close_subscription(stream)
            assert held == {"A": 297, "B": 298, "C": 299} or sorted(held.values()) == [
                297,
                298,
                299,
            ]

    asyncio.run(work())


async def _hold(frames: AsyncIterator[Frame], held: dict[str, int], until: int) -> None:
    async for frame in frames:
        for row in rows_in(frame):
            assert held.get(row["account"], -1) < int(row["movement_id"])
            held[row["account"]] = int(row["movement_id"])
        if until in held.values():
            return


def test_rows_of_accounts_that_may_not_be_seen_are_in_no_frame(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append(*"ABCA")
            shape = Shape(keys=None, accounts=frozenset("BC"), arrow=False)
            for interval_s in (0.0, 0.01):
                frames = await feed.take(2, "0:0", shape=shape, interval_s=interval_s)
                assert sorted(numbers(frames)) == [1, 2]

    asyncio.run(work())


def test_arrow_frames_hold_the_same_rows_and_their_position(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append("A", "B")
            shape = Shape(keys=frozenset("B"), accounts=None, arrow=True)
            (frame,) = await feed.take(1, "0:0", shape=shape)
            table = pa.ipc.open_stream(frame.body).read_all()
            assert table.column("movement_id").to_pylist() == ["1"]
            assert table.schema.metadata[b"position"] == b"0:1"
            assert table.schema.remove_metadata().equals(TOPIC.schema)

    asyncio.run(work())


def test_watermarks_move_the_position_and_are_no_rows(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            marks = watermarks_batch(["A"], [1])
            feed.log.append([watermarks_record(TOPIC.name, 0, marks)])
            await feed.append("A")
            (frame,) = await feed.take(1, "0:0")
            assert (frame.position, numbers([frame])) == ("0:2", [0])

    asyncio.run(work())


def test_all_clients_of_a_topic_share_one_reader_and_each_frame(tmp_path: Path) -> None:
    async def work() -> None:
        async with feeding(tmp_path) as feed:
            takers = [asyncio.create_task(feed.take(1)) for _ in range(10)]
            feeds = feed.hub._feeds
            await until(
                lambda: TOPIC.name in feeds and len(feeds[TOPIC.name]._plain.get(ALL, ())) == 10
            )
            await feed.append("A")
            frames = [(await taker)[0] for taker in takers]
            assert len({id(frame) for frame in frames}) == 1
            assert TOPIC.name not in feed.hub._feeds

    asyncio.run(work())


@given(
    st.dictionaries(
        st.integers(0, 20), st.tuples(st.integers(0, 10**17), st.integers(0, 65_535)), min_size=1
    )
)
def test_a_position_survives_being_written(position: dict[int, tuple[int, int]]) -> None:
    complete = {partition: position.get(partition, (0, 0)) for partition in range(21)}
    assert position_of(position_text(complete), 21) == complete


@pytest.mark.parametrize("text", ["", "0", "0:", "0:1,0:2", "1:5", "0:-1", "0:1.", "0:1,1:2", "x"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PositionError):
        position_of(text, 1)
