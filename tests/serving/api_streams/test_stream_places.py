"""How many streams a user may have: what is beyond is refused and counted, and a place that is left is free again."""

import http.client
import json
import re
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.serving.api_streams.test_stream_routes import events, subscribe, talk
from tests.serving.live_api import live_api


def counted(host: str) -> tuple[float, float]:
    """Streams that are open, and those that were refused."""
    text = answered(host, "/metrics")[1].decode()
    names = ("tapeflow_api_streams", "tapeflow_api_streams_refused_total")
    found = [re.search(rf"^{name} (\S+)$", text, re.MULTILINE) for name in names]
    assert found[0] is not None
    assert found[1] is not None
    return float(found[0][1]), float(found[1][1])


def answered(host: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_until_open(host: str, streams: int) -> None:
    """What a client leaves is found out when something is sent to it: the server is asked until it is."""
    for _ in range(2_000):
        if counted(host)[0] == streams:
            return
    pytest.fail(f"{counted(host)[0]} streams are open, not {streams}")


def test_streams_beyond_those_of_a_user_are_refused_and_counted(tmp_path: Path) -> None:
    with live_api(tmp_path, api_streams=3) as (_, host):
        before = counted(host)
        assert before[0] == 0
        with talk(host) as socket:
            assert subscribe(socket, topic="quotes", id="1")["subscribed"] == "1"
            came = events(host, "/v1/stream/quotes", until="id")
            next(came)
            assert counted(host)[0] == 3
            refused = subscribe(socket, topic="quotes", id="2")["error"]
            assert refused["kind"] == "streams"
            assert "api_streams" in refused["detail"]
            status, body = answered(host, "/v1/stream/quotes")
            assert (status, json.loads(body)["type"]) == (429, "urn:tapeflow:problem:streams")
            with pytest.raises(InvalidStatus) as no_socket:
                talk(host)
            assert no_socket.value.response.status_code == 429
            assert counted(host) == (3, before[1] + 3)
            socket.send(json.dumps({"unsubscribe": "1"}))
            assert json.loads(socket.recv(timeout=60)) == {"unsubscribed": "1"}
            assert subscribe(socket, topic="quotes", id="2")["subscribed"] == "2"
            came.close()
            wait_until_open(host, 2)
        wait_until_open(host, 0)


def test_what_cannot_be_subscribed_to_takes_no_place(tmp_path: Path) -> None:
    with live_api(tmp_path, api_streams=2) as (_, host), talk(host) as socket:
        for _ in range(3):
            refused = subscribe(socket, topic="quotes", begin="0:999")
            assert refused["error"]["kind"] == "position"
            assert answered(host, "/v1/stream/quotes?begin=0:999")[0] == 422
        assert subscribe(socket, topic="quotes")["subscribed"] == "quotes"
