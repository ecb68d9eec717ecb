"""Streams over real connections: WebSocket and server-sent events, who may have them, and how they end."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from connectors.clickhouse import connect as connect_to_store
from connectors.clickhouse import create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from connectors.records import rows_record
from schemas.accounts import CASH_MOVEMENTS
from schemas.market import QUOTES
from schemas.topic import Topic
from serving.api.scopes import Role
from serving.hub.hub import Hub
from tests.serving.api.apps import principal
from tests.serving.live_api import live_api


def quotes(symbols: list[str], number: int) -> pa.RecordBatch:
    times = np.full(len(symbols), number, dtype=np.int64)
    columns = {
        "symbol": symbols,
        "venue": ["N"] * len(symbols),
        "ts_event": times,
        "ts_recv": times,
    }
    return QUOTES.batch({**columns, "bid": times + 100.0, "ask": times + 101.0})


def movements(accounts: list[str]) -> pa.RecordBatch:
    count = len(accounts)
    times = np.zeros(count, dtype=np.int64)
    return CASH_MOVEMENTS.batch(
        {
            "account": accounts,
            "ts_event": times,
            "ts_recv": times,
            "movement_id": accounts,
            "kind": ["deposit"] * count,
            "amount": [1] * count,
            "currency": ["USD"] * count,
        }
    )


def append(app: FastAPI, topic: Topic, batch: pa.RecordBatch) -> None:
    app.state.api.log.append([rows_record(topic, 0, batch)])


def talk(host: str) -> ClientConnection:
    return connect(f"ws://{host}/v1/stream", max_size=None)


def subscribe(socket: ClientConnection, **asked: Any) -> dict[str, Any]:
    socket.send(json.dumps({"subscribe": asked}))
    answer: dict[str, Any] = json.loads(socket.recv(timeout=60))
    return answer


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[FastAPI, str]]:
    with live_api(tmp_path) as running:
        yield running


def test_a_client_gets_the_rows_of_its_keys_and_resumes_where_it_was(
    live: tuple[FastAPI, str],
) -> None:
    app, host = live
    with talk(host) as socket:
        assert subscribe(socket, topic="quotes", keys=["A"], id="q") == {
            "subscribed": "q",
            "position": "0:0",
        }
        append(app, QUOTES, quotes(["A", "B"], 1))
        frame = json.loads(socket.recv(timeout=60))
        assert (frame["id"], frame["topic"], frame["position"]) == ("q", "quotes", "0:1")
        assert [row["symbol"] for row in frame["rows"]] == ["A"]
    append(app, QUOTES, quotes(["B"], 2))
    append(app, QUOTES, quotes(["A"], 3))
    with talk(host) as socket:
        assert "subscribed" in subscribe(socket, topic="quotes", keys=["A"], begin="0:1")
        frame = json.loads(socket.recv(timeout=60))
        assert frame["position"] == "0:3"
        assert [row["bid"] for row in frame["rows"]] == [103.0]


def test_who_loses_a_stream_before_its_first_frame_goes_on_from_where_it_began(
    live: tuple[FastAPI, str],
) -> None:
    app, host = live
    append(app, QUOTES, quotes(["A"], 1))
    with talk(host) as socket:
        position = subscribe(socket, topic="quotes")["position"]
    append(app, QUOTES, quotes(["A"], 2))
    with talk(host) as socket:
        assert subscribe(socket, topic="quotes", begin=position)["position"] == position
        frame = json.loads(socket.recv(timeout=60))
        assert [row["bid"] for row in frame["rows"]] == [102.0]


def test_one_connection_has_several_streams_and_ends_them(live: tuple[FastAPI, str]) -> None:
    app, host = live
    with talk(host) as socket:
        assert subscribe(socket, topic="quotes", id="all")["subscribed"] == "all"
        asked = {"topic": "quotes", "id": "b", "keys": ["B"], "conflate_ms": 20}
        assert subscribe(socket, **asked)["subscribed"] == "b"
        assert subscribe(socket, topic="quotes", id="b")["error"]["kind"] == "id"
        append(app, QUOTES, quotes(["A", "B", "B"], 1))
        frames = {frame["id"]: frame for frame in (json.loads(socket.recv(60)) for _ in range(2))}
        assert [row["symbol"] for row in frames["all"]["rows"]] == ["A", "B", "B"]
        assert [row["symbol"] for row in frames["b"]["rows"]] == ["B"]
        socket.send(json.dumps({"unsubscribe": "all"}))
        assert json.loads(socket.recv(timeout=60)) == {"unsubscribed": "all"}
        append(app, QUOTES, quotes(["A", "B"], 2))
        assert json.loads(socket.recv(timeout=60))["id"] == "b"


def test_the_newest_rows_come_first_where_they_are_asked_for(live: tuple[FastAPI, str]) -> None:
    app, host = live
    append(app, QUOTES, quotes(["A", "B"], 1))
    append(app, QUOTES, quotes(["A"], 2))
    with talk(host) as first:
        subscribe(first, topic="quotes", begin="0:0")
        while json.loads(first.recv(timeout=60))["position"] != "0:2":
            pass
    with talk(host) as socket:
        subscribe(socket, topic="quotes", begin="latest")
        rows = json.loads(socket.recv(timeout=60))["rows"]
        assert {row["symbol"]: row["bid"] for row in rows} == {"A": 102.0, "B": 101.0}


def test_newest_rows_come_first_of_a_topic_that_nobody_has_followed(
    live: tuple[FastAPI, str],
) -> None:
    """Of most topics the server keeps no newest rows: they are read when they are asked for."""
    app, host = live
    append(app, CASH_MOVEMENTS, movements(["A1", "A2"]))
    with talk(host) as socket:
        subscribe(socket, topic="cash_movements", keys=["A1"], begin="latest")
        first = json.loads(socket.recv(timeout=60))
        assert [row["account"] for row in first["rows"]] == ["A1"]
        append(app, CASH_MOVEMENTS, movements(["A1", "A3"]))
        then = json.loads(socket.recv(timeout=60))
        assert [row["account"] for row in then["rows"]] == ["A1"]
        assert then["position"] > first["position"]


def test_newest_rows_of_keys_that_memory_does_not_know_are_asked_of_the_store(
    tmp_path: Path, store_url: str
) -> None:
    """Behind a start of the API, a symbol without a row among a topic's last records was blank until one came."""
    with connect_to_store(store_url) as client:
        create_tables(client)
        landed = Decoded(Record("quotes", 0, 0, 1, None, (), None), quotes(["A", "B", "C"], 1))
        insert(client, QUOTES, landed_table(QUOTES, [landed]), "token")
    with live_api(tmp_path, store=store_url) as (app, host):
        app.state.api.part(Hub)._whole.discard("quotes")
        with talk(host) as socket:
            subscribe(socket, topic="quotes", keys=["A"], begin="latest", conflate_ms=20)
            first = json.loads(socket.recv(timeout=60))
            append(app, QUOTES, quotes(["A"], 2))
            then = json.loads(socket.recv(timeout=60))
        assert [row["bid"] for row in first["rows"] + then["rows"]] == [101.0, 102.0]
        told = next(events(host, "/v1/stream/quotes?keys=A,B&begin=latest"))
        rows = json.loads(told["data"])["rows"]
        assert {row["symbol"]: row["bid"] for row in rows} == {"A": 102.0, "B": 101.0}


def test_a_stream_begins_without_a_store(live: tuple[FastAPI, str]) -> None:
    app, host = live
    app.state.api.part(Hub)._whole.discard("quotes")
    with talk(host) as socket:
        subscribe(socket, topic="quotes", keys=["A"], begin="latest")
        assert json.loads(socket.recv(timeout=60))["rows"] == []
        append(app, QUOTES, quotes(["A"], 2))
        assert len(json.loads(socket.recv(timeout=60))["rows"]) == 1


def test_arrow_frames_are_binary(live: tuple[FastAPI, str]) -> None:
    app, host = live
    with talk(host) as socket:
        subscribe(socket, topic="quotes", format="arrow")
        append(app, QUOTES, quotes(["A"], 1))
        message = socket.recv(timeout=60)
        assert isinstance(message, bytes)
        assert pa.ipc.open_stream(message).read_all().column("symbol").to_pylist() == ["A"]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("{", "message"),
        ("[]", "message"),
        ('{"subscribe": {"topic": "nothing"}}', "no-topic"),
        ('{"subscribe": {"topic": "quotes", "begin": "0:999"}}', "position"),
        ('{"subscribe": {"topic": "quotes", "begin": "yesterday"}}', "position"),
        ('{"subscribe": {"topic": "quotes", "conflate_ms": -1}}', "message"),
        ('{"subscribe": {"topic": "quotes", "more": 1}}', "message"),
        ('{"unsubscribe": "none"}', "id"),
    ],
)
def test_a_wrong_message_is_answered_and_the_connection_goes_on(
    live: tuple[FastAPI, str], message: str, kind: str
) -> None:
    _, host = live
    with talk(host) as socket:
        socket.send(message)
        assert json.loads(socket.recv(timeout=60))["error"]["kind"] == kind
        assert subscribe(socket, topic="quotes")["subscribed"] == "quotes"


def test_a_position_that_was_trimmed_closes_with_the_reason(live: tuple[FastAPI, str]) -> None:
    app, host = live
    for number in range(4):
        append(app, QUOTES, quotes(["A"], number))
    app.state.api.log.trim("quotes", 0, 2)
    with talk(host) as socket:
        subscribe(socket, topic="quotes", begin="0:0")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4010
    assert closed.value.rcvd.reason.startswith("trimmed:")


def test_who_sees_one_account_gets_the_rows_of_that_one(tmp_path: Path) -> None:
    who = principal(Role.TRADER, sees=frozenset({"A1"}), trades=frozenset())
    with live_api(tmp_path, who) as (app, host), talk(host) as socket:
        subscribe(socket, topic="cash_movements")
        assert subscribe(socket, topic="audit_log")["error"]["kind"] == "scope"
        append(app, CASH_MOVEMENTS, movements(["A2", "A1", "A3"]))
        rows = json.loads(socket.recv(timeout=60))["rows"]
        assert [row["account"] for row in rows] == ["A1"]
        refused = subscribe(socket, topic="routing_decisions", conflate_ms=10)
        assert refused["error"]["kind"] == "conflated"


def test_events_have_positions_from_which_a_browser_goes_on(live: tuple[FastAPI, str]) -> None:
    app, host = live
    append(app, QUOTES, quotes(["A", "B"], 1))
    append(app, QUOTES, quotes(["A"], 2))
    first = next(events(host, "/v1/stream/quotes?keys=A&begin=0:0"))
    assert first["id"] == "0:1"
    rest = next(events(host, "/v1/stream/quotes?keys=A", **{"Last-Event-ID": first["id"]}))
    assert rest["id"] == "0:2"
    assert [row["bid"] for row in json.loads(rest["data"])["rows"]] == [102.0]


def test_events_of_what_may_not_be_had_are_a_problem(live: tuple[FastAPI, str]) -> None:
    _, host = live
    for path, status in (("nothing", 404), ("quotes?begin=x", 422), ("quotes?conflate_ms=x", 422)):
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("GET", f"/v1/stream/{path}")
        answer = connection.getresponse()
        assert answer.status == status
        assert json.loads(answer.read())["status"] == status
        connection.close()


def events(
    host: str, path: str, *, until: str = "data", **headers: str
) -> Iterator[dict[str, str]]:
    """Server-sent events that have a member, as members by name."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        found: dict[str, str] = {}
        while True:
            line = answer.readline().decode().rstrip("\n")
            if not line and until in found:
                yield found
            if not line:
                found = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                found[name] = value
    finally:
        connection.close()
