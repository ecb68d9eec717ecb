"""`tapeflow serve` as a program: its first start, its address, TLS, its end, and what it never tells."""

import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson
import pyotp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from connectors.audit_log import read_rows, verify_chain
from connectors.log import open_log
from serving.api import server as api_server
from serving.api.address import ApiAddress, running_api, write_note
from serving.api.server import serve_api
from serving.settings import Settings
from serving.settings_sources import program_environment
from serving.up import supervisor_of, whereabouts
from tests.serving.api.servers import Server, server, tapeflow
from tests.serving.api.signed_in import PASSWORD

OTHER = "another horse, another battery"


def one_time_token(running: Server) -> str:
    (token,) = re.findall(r"one-time token (tfo_\S+)", running.out.read_text())
    return str(token)


def test_a_first_start_tells_a_token_once_and_never_a_password(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with server(home) as running:
        token = one_time_token(running)
        assert token not in running.err.read_text()
        assert running.url.startswith("http://127.0.0.1:")
        for user, password in (("admin", "admin"), ("admin", ""), ("demo", "demo")):
            body = {"user": user, "password": password}
            answer = httpx.post(f"{running.url}/v1/sign-in", json=body, timeout=30)
            assert answer.status_code == 401
    with server(home) as running:
        told = running.out.read_text()
        assert "tfo_" not in told
        assert "tapeflow users reset admin" in told
        body = {"user": "admin", "password": PASSWORD, "one_time_token": token}
        answer = httpx.post(f"{running.url}/v1/sign-in", json=body, timeout=30)
        assert answer.status_code == 200
    with server(home) as running:
        assert running.out.read_text() == ""


def test_no_secret_is_in_logs_or_in_the_audit_log(tmp_path: Path) -> None:
    """A whole session, with everything that could be told; then all that was written is searched."""
    home = tmp_path / "home"
    secrets: list[str] = [PASSWORD, OTHER]
    with server(home) as running, httpx.Client(base_url=running.url, timeout=30) as client:

        def post(path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
            answer = client.post(path, json=body, **more)
            found: dict[str, Any] = answer.json()
            return found

        token = one_time_token(running)
        tokens = post(
            "/v1/sign-in", {"user": "admin", "password": PASSWORD, "one_time_token": token}
        )
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        secrets += [token, tokens["access_token"], tokens["refresh_token"]]
        key = post("/v1/me/keys", {"name": "bot", "scopes": ["me"]}, headers=headers)["key"]
        client.get("/v1/me", headers={"X-API-Key": key})
        # Wrong by one letter, and as a query and a path: where secrets end up by mistake.
        client.get("/v1/me", headers={"X-API-Key": key[:-1]})
        client.get(f"/v1/nowhere/{'x'}?token={tokens['access_token']}", headers=headers)
        new = post("/v1/users", {"name": "tess", "roles": ["trader"]}, headers=headers)
        factor = post("/v1/me/second-factor", {}, headers=headers)
        codes = post(
            "/v1/me/second-factor/confirm",
            {"code": pyotp.TOTP(factor["secret"]).now()},
            headers=headers,
        )["recovery_codes"]
        post("/v1/sign-in", {"user": "admin", "password": OTHER, "code": codes[1]})
        cookie = client.post(
            "/v1/sign-in",
            json={"user": "admin", "password": PASSWORD, "code": codes[0], "cookie": True},
        )
        secrets += [key, key.split("_", 2)[2], new["one_time_token"], factor["secret"], *codes]
        secrets += [cookie.cookies["tapeflow_session"], cookie.json()["csrf_token"]]
        second = post("/v1/refresh", {"refresh_token": tokens["refresh_token"]})
        post("/v1/refresh", {"refresh_token": tokens["refresh_token"]})
        secrets += [second["access_token"], second["refresh_token"]]
        client.post("/v1/sign-in", json={"user": "x", "password": {"is": PASSWORD}})
        client.put("/v1/me/password", json={"old": PASSWORD, "new": OTHER}, headers=headers)
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        rows = read_rows(log, limit=1000)
        assert list(verify_chain(log)) == []
    assert {row["action"] for row in rows} >= {
        "enter",
        "key_new",
        "refresh",
        "second_factor_on",
        "sign_in",
        "user_new",
    }
    told = {
        "the log": running.err.read_bytes(),
        "the audit log": orjson.dumps(rows),
        "the topic log": (home / "log.db").read_bytes(),
        "the users database": (home / "users.db").read_bytes(),
        "the note of the address": b"".join(path.read_bytes() for path in home.glob("*.json")),
    }
    for where, written in told.items():
        for secret in secrets:
            assert secret.encode() not in written, f"{secret[:8]}… is in {where}"
    assert b"request" in told["the log"]


def test_a_request_that_has_begun_is_finished_before_the_server_ends(home: Path) -> None:
    with server(home) as running:
        host, port = running.url.removeprefix("http://").split(":")
        body = orjson.dumps({"user": "tess", "password": "wrong, but checked"})
        head = (
            f"POST /v1/sign-in HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection((host, int(port)), timeout=30) as begun:
            begun.sendall(head + body[:5])
            # It is in hand once another one, which came later, was answered.
            httpx.get(f"{running.url}/health").raise_for_status()
            running.process.send_signal(signal.SIGTERM)
            deadline_s = time.monotonic() + 30
            while _accepts(host, int(port)):
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            begun.sendall(body[5:])
            answer = begun.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401")
        assert running.process.wait(30) == 0
        assert running_api(home) is None
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        # What it did is in the audit log, which was written to its end.
        (row,) = read_rows(log, limit=1)
    assert (row["actor"], row["action"], row["result"]) == ("tess", "sign_in", "refused")


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def test_streams_are_told_that_the_server_ends(home: Path) -> None:
    with server(home) as running:
        signed = httpx.post(
            f"{running.url}/v1/sign-in", json={"user": "tess", "password": PASSWORD}
        ).json()
        headers = {"Authorization": f"Bearer {signed['access_token']}"}
        url = f"{running.url}/v1/stream/quotes"
        with (
            httpx.stream("GET", url, headers=headers, timeout=30) as stream,
            connect(
                f"ws{url.removeprefix('http').rpartition('/')[0]}", additional_headers=headers
            ) as ws,
        ):
            assert stream.status_code == 200, stream.read()
            lines = stream.iter_lines()
            assert next(lines) == "id: 0:0"
            ws.send('{"subscribe": {"topic": "quotes"}}')
            ws.recv(timeout=30)
            running.process.send_signal(signal.SIGTERM)
            assert "event: end" in lines
            # Frames, if any come still, then the end.
            with pytest.raises(ConnectionClosed) as closed:
                deque(iter(lambda: ws.recv(timeout=30), None), maxlen=0)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
        assert running.process.wait(30) == 0


def test_a_stream_that_is_refused_is_no_error_of_the_server(home: Path) -> None:
    """Each was told as one: whoever knocked without credentials made alarms ring."""
    with server(home) as running:
        host = running.url.removeprefix("http://")
        for path, status in (("/v1/stream", 401), ("/v1/stream/none", 403)):
            with pytest.raises(InvalidStatus) as refused, connect(f"ws://{host}{path}"):
                pass
            assert refused.value.response.status_code == status
    lines = [orjson.loads(line) for line in running.err.read_text().splitlines()]
    assert [line["status"] for line in lines if line["event"] == "request"] == [401, 403]
    assert [line for line in lines if line["level"] == "error"] == []


def test_traces_reach_their_collector(home: Path) -> None:
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is told."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        try:
            with server(home, TAPEFLOW_OTLP_ENDPOINT=endpoint) as running:
                httpx.get(f"{running.url}/health", headers={"X-Correlation-ID": "find-me"})
        finally:
            collector.shutdown()
    paths = {path for path, _ in got}
    sent = b"".join(body for _, body in got)
    assert paths == {"/v1/traces"}
    # Protobuf keeps text as it is.
    for text in (b"GET /health", b"find-me", b"tapeflow-api"):
        assert text in sent


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = tapeflow(tmp_path / "home", "serve", TAPEFLOW_API_PORT=str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "set api_port" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_keeps_it_from_starting_is_told(home: Path) -> None:
    (home / "users.key").chmod(0o644)
    done = tapeflow(home, "serve")
    assert done.returncode == 1
    assert "chmod 600" in done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def in_thread(settings: Settings) -> Iterator[str]:
    """The server in a thread of this process; its URL."""
    stop, ready = threading.Event(), threading.Event()
    urls: list[str] = []

    def on_ready(address: ApiAddress) -> None:
        urls.append(address.url)
        ready.set()

    thread = threading.Thread(target=serve_api, args=(settings, stop, on_ready))
    thread.start()
    try:
        assert ready.wait(60)
        yield urls[0]
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"]
)
def test_a_connection_without_a_whole_head_is_closed(
    home: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(api_server, "_HEAD_S", 0.2)
    with in_thread(Settings(home=home, api_port=0)) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as silent:
            silent.sendall(said)
            # As an end or as a reset.
            with suppress(ConnectionResetError):
                assert silent.recv(1) == b""
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + (said or b"G"))
            with suppress(ConnectionResetError):
                while slow.recv(1 << 16):
                    pass
        # Whole ones are answered, however many on one connection.
        with httpx.Client(base_url=url) as client:
            for _ in range(3):
                client.get("/health").raise_for_status()


def test_a_note_of_a_process_that_is_gone_is_no_address(tmp_path: Path) -> None:
    write_note(tmp_path, ApiAddress("http://127.0.0.1:1", 2**22 + 1, 1.0))
    assert running_api(tmp_path) is None
    here = ApiAddress.of_this_process("http://127.0.0.1:1")
    write_note(tmp_path, here)
    assert running_api(tmp_path) == here
    # The number of a process comes again; its time of start does not.
    write_note(tmp_path, ApiAddress(here.url, here.pid, here.started_s - 1))
    assert running_api(tmp_path) is None
    (tmp_path / "api.json").write_text("{")
    assert running_api(tmp_path) is None


def test_up_starts_the_api_which_alone_knows_where_users_are(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, users="postgresql://me:secret@127.0.0.1/users")
    assert program_environment(settings)["TAPEFLOW_USERS"].endswith("secret@127.0.0.1/users")
    programs = supervisor_of(settings, api=True)._programs
    knows = [one.name for one in programs if "secret" in one.environment["TAPEFLOW_USERS"]]
    assert knows == ["api"]
    assert "api" not in [one.name for one in supervisor_of(settings)._programs]
    write_note(tmp_path, ApiAddress.of_this_process("http://127.0.0.1:5"))
    assert ("dashboard and API", "http://127.0.0.1:5") in whereabouts(settings)
