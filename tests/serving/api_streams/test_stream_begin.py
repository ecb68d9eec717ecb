"""Where streams begin: what is told of it over a WebSocket and in events is the same, and nothing is missed from there."""

import asyncio
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed

from connectors.log import Chunk
from connectors.records import rows_record
from schemas.accounts import CASH_MOVEMENTS
from schemas.market import QUOTES
from tests.serving.api_streams.test_hub_streams import TOPIC, feeding, numbers, until, wanted_of
from tests.serving.api_streams.test_stream_routes import (
    append,
    events,
    movements,
    quotes,
    subscribe,
    talk,
)
from tests.serving.live_api import live_api


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[FastAPI, str]]:
    with live_api(tmp_path) as running:
        yield running


@pytest.mark.parametrize("begin", ["now", "latest", "0:1"])
def test_a_websocket_and_events_begin_at_the_same_position(
    live: tuple[FastAPI, str], begin: str
) -> None:
    """Quotes are kept by the server, cash movements are read when they are asked for."""
    app, host = live
    for number in range(2):
        append(app, QUOTES, quotes(["A"], number))
        append(app, CASH_MOVEMENTS, movements(["A"]))
    with talk(host) as socket:
        # So that the server has read what was appended.
        subscribe(socket, topic="quotes", begin="0:0")
        while json.loads(socket.recv(timeout=60))["position"] != "0:2":
            pass
    for topic in ("quotes", "cash_movements"):
        with talk(host) as socket:
            told = subscribe(socket, topic=topic, begin=begin)["position"]
            opening = next(events(host, f"/v1/stream/{topic}?begin={begin}", until="id"))
            assert opening["id"] == told == {"now": "0:2"}.get(begin, begin)
            if begin != "now":
                frame = json.loads(socket.recv(timeout=60))
                event = next(events(host, f"/v1/stream/{topic}", **{"Last-Event-ID": told}))
                assert event["id"] == frame["position"] == "0:2"
                assert json.loads(event["data"])["rows"] == frame["rows"]


def test_a_topic_that_is_not_read_on_is_refused_and_other_streams_of_the_connection_go_on(
    live: tuple[FastAPI, str],
) -> None:
    """The connection ended, and a page that asks for all its topics anew had none of them from then on."""
    app, host = live
    record = rows_record(CASH_MOVEMENTS, 0, movements(["A"]))
    with talk(host) as socket:
        subscribe(socket, topic="cash_movements")
        app.state.api.log.append([dataclasses.replace(record, value=b"no Arrow")])
        with pytest.raises(ConnectionClosed, match="unreadable"):
            socket.recv(timeout=60)
    with talk(host) as socket:
        assert "subscribed" in subscribe(socket, topic="quotes")
        error = subscribe(socket, topic="cash_movements")["error"]
        assert (error["kind"], "is not read on" in error["detail"]) == ("unreadable", True)
        append(app, QUOTES, quotes(["A"], 0))
        assert json.loads(socket.recv(timeout=60))["topic"] == "quotes"


def test_a_frame_says_that_there_are_no_newest_rows(live: tuple[FastAPI, str]) -> None:
    """Without it a client that comes back would ask for the newest rows again, and miss those between."""
    app, host = live
    append(app, CASH_MOVEMENTS, movements(["A"]))
    for topic, at in (("quotes", "0:0"), ("cash_movements", "0:1")):
        with talk(host) as socket:
            subscribe(socket, topic=topic, keys=["B"], begin="latest")
            frame = json.loads(socket.recv(timeout=60))
            assert (frame["position"], frame["rows"]) == (at, [])


def test_only_behind_the_last_frame_of_the_newest_rows_is_a_place_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is lost between them has not seen the others."""
    monkeypatch.setattr("serving.hub.frames.FRAME_ROWS", 2)

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append(*"ABCDE")
            frames = await feed.take(5, snapshot=True)
            assert [frame.position for frame in frames] == ["latest", "latest", "0:1"]
            assert sorted(numbers(frames)) == [0, 1, 2, 3, 4]

    asyncio.run(work())


@pytest.mark.parametrize("snapshot", [False, True])
def test_every_row_comes_that_is_appended_while_a_stream_begins(
    tmp_path: Path, *, snapshot: bool
) -> None:
    """Rows that came between the answer and the first frame, or behind the newest rows, were left out."""

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append("A", "A")
            stream = await feed.hub.subscribe(wanted_of(feed.log, snapshot=snapshot))
            frames = stream.frames()
            got = numbers([await anext(frames)]) if snapshot else [1]
            for _ in range(3):
                await feed.append("A", "A")
            await until(lambda: feed.hub._feeds[TOPIC.name].positions[0] == 4)
            async with asyncio.timeout(60):
                while len(got) < 7:
                    got += numbers([await anext(frames)])
            assert got == list(range(1, 8))
            await frames.aclose()
            feed.hub.close_subscription(stream)

    asyncio.run(work())


@pytest.mark.parametrize(("begin", "reads"), [(None, 0), ("0:0", 1)])
def test_the_newest_rows_wait_while_a_client_is_told_what_lies_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: str | None, reads: int
) -> None:
    """Each read until it met what comes: a thousand that began together never did, and nobody else was answered."""

    async def work() -> None:
        async with feeding(tmp_path) as feed:
            await feed.append("A")
            stream = await feed.hub.subscribe(wanted_of(feed.log, begin, interval_s=0.01))
            followed, read = feed.hub._feeds[TOPIC.name], feed.log.read
            starts: list[int] = []

            def read_while_more_comes(*where: Any, **options: Any) -> Chunk:
                starts.append(where[2])
                chunk = read(*where, **options)
                (offset,) = feed.log.append([rows_record(TOPIC, 0, movements(["A"]))])
                while followed.positions[0] <= offset:
                    time.sleep(0.001)
                return chunk

            class Read:
                read = staticmethod(read_while_more_comes)

            monkeypatch.setattr(stream, "_log", Read)
            await feed.append("A")
            await until(lambda: followed.positions[0] == 2)
            frames = stream.frames()
            position = ""
            async with asyncio.timeout(60):
                while position != f"0:{reads + 2}":
                    position = (await anext(frames)).position
            assert starts == [0] * reads
            await frames.aclose()
            feed.hub.close_subscription(stream)

    asyncio.run(work())
