"""The application as a whole: errors, correlation ids, limits of bodies, parts, counts, traces, the audit trail."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, HTTPException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connectors.audit_log import AuditEntry
from connectors.log import Log, LogError, NewRecord
from schemas.audit_log import AUDIT_LOG
from serving.api.audit import AuditTrail
from serving.api.envelope import Envelope, Limits
from serving.api.problems import ApiError
from serving.api.rate_limits import Buckets
from serving.api.security import OPEN
from serving.api.state import ApiState
from serving.api.tracing import tracer, tracer_to
from serving.users.database import UsersDatabaseError
from tests.serving.api.apps import running
from tests.serving.api.signed_in import Service, service


@pytest.fixture
def served(home: Path) -> Iterator[Service]:
    with service(home) as made:
        router = APIRouter(dependencies=[Depends(OPEN)])

        @router.get("/fails/{how}")
        async def fails(how: str) -> None:
            secret = "hunter2-of-the-local-variables"
            raise {
                "unforeseen": ZeroDivisionError(secret),
                "log": LogError(f"sqlite:///{secret}"),
                "users": UsersDatabaseError(secret),
                "http": HTTPException(418, "short and stout"),
                "api": ApiError(409, "taken", "it is taken", name="x"),
            }[how]

        made.app.include_router(router)
        yield made


def check_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:tapeflow:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["correlation_id"] == answer.headers["X-Correlation-ID"]
    return body


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("POST", "/health", 405, "method-not-allowed"),
        ("GET", "/v1/users?limit=x", 401, "credentials"),
        ("GET", "/fails/unforeseen", 500, "internal"),
        ("GET", "/fails/log", 503, "log-unavailable"),
        ("GET", "/fails/users", 503, "users-unavailable"),
        ("GET", "/fails/http", 418, "im-a-teapot"),
        ("GET", "/fails/api", 409, "taken"),
        ("POST", "/v1/sign-in", 422, "invalid-request"),
    ],
)
def test_every_error_is_a_problem_document_that_tells_no_secret(
    served: Service, method: str, path: str, status: int, kind: str
) -> None:
    answer = served.client.request(method, path)
    check_problem(answer, status, kind)
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def test_what_is_wrong_with_a_request_is_named_and_not_repeated(served: Service) -> None:
    sent = {"user": "TESS!", "password": ["my secret password"], "cookie": "my other secret"}
    answer = served.client.post("/v1/sign-in", json=sent)
    body = check_problem(answer, 422, "invalid-request")
    assert {one["at"] for one in body["errors"]} == {"body/user", "body/password", "body/cookie"}
    assert "secret" not in answer.text
    assert "TESS!" not in answer.text


@pytest.mark.parametrize("given", ["a", "x" * 64, "order-7.retry_2:b"])
def test_a_correlation_id_of_the_client_is_taken(served: Service, given: str) -> None:
    answer = served.client.get("/health", headers={"X-Correlation-ID": given})
    assert answer.headers["X-Correlation-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "é", 'a"b', "a\tb"])
def test_another_is_made_where_it_would_do_harm(served: Service, given: str) -> None:
    answer = served.client.get("/health", headers={"X-Correlation-ID": given.encode()})
    made = answer.headers["X-Correlation-ID"]
    assert made != given
    assert len(made) == 32
    assert made != served.client.get("/health").headers["X-Correlation-ID"]


def test_log_lines_have_the_correlation_id(
    served: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    served.client.get("/fails/unforeseen", headers={"X-Correlation-ID": "look-for-me"})
    lines = [line for line in capsys.readouterr().out.splitlines() if "look-for-me" in line]
    assert any("request failed" in line for line in lines)


def test_too_long_a_body_is_refused_whatever_it_says_of_itself(served: Service) -> None:
    headers = served.headers("tess")
    long = b"x" * ((16 << 20) + 1)
    said = served.client.post("/v1/me/keys", content=long, headers=headers)
    check_problem(said, 413, "too-long")
    unsaid = served.client.post("/v1/me/keys", content=iter([long]), headers=headers)
    check_problem(unsaid, 413, "too-long")
    # Strangers may send a sign-in, and no more.
    stranger = served.client.post("/v1/sign-in", content=b"x" * ((64 << 10) + 1))
    check_problem(stranger, 413, "too-long")
    lied = served.client.post("/v1/sign-in", content=b"{}", headers={"Content-Length": "-1"})
    assert lied.status_code == 413


def test_only_orders_are_long_for_other_bodies_are_read_before_anybody_asks_whose_they_are(
    served: Service,
) -> None:
    long = b'{"sql":[' + b" " * (1 << 20) + b"]}"
    headers = {"X-API-Key": "nobody's", "Content-Type": "application/json"}
    for path in ("/v1/sql", "/v1/sign-in", "/v1/orders/check"):
        check_problem(served.client.post(path, content=long, headers=headers), 413, "too-long")
    check_problem(
        served.client.post("/v1/orders", content=long, headers=headers), 401, "credentials"
    )


def test_a_body_that_does_not_come_in_is_given_up() -> None:
    async def inside(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    async def receive() -> dict[str, Any]:
        if not begun:
            begun.append(True)
            return {"type": "http.request", "body": b"{", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    begun: list[bool] = []
    sent: list[dict[str, Any]] = []
    limits = Limits(hosts=frozenset({"h"}), body_bytes=100, body_s=0.01)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"h")]}
    asyncio.run(Envelope(inside, limits=limits)(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


MALFORMED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b'{"user": "tess"',
    b'{"user": "\\ud800"}',
    b'{"user": NaN, "password": Infinity}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"user": ' + b"9" * 60_000 + b"}",
    b'{"user": {"$ne": null}, "password": {"$ne": null}}',
    b'{"user": "tess\\u0000", "password": "x"}',
]


def test_a_malformed_body_is_the_clients_fault(served: Service) -> None:
    headers = served.headers("admin")
    routes = (
        ("POST", "/v1/sign-in"),
        ("POST", "/v1/users"),
        ("PATCH", "/v1/users/tess"),
        ("PUT", "/v1/me/password"),
    )
    kinds = ("application/json", "text/plain", "multipart/form-data", "")
    for body, kind, (method, path) in itertools.product(MALFORMED, kinds, routes):
        served.state.rates._knocks._levels.clear()
        answer = served.client.request(
            method, path, content=body, headers={**headers, "Content-Type": kind}
        )
        assert 400 <= answer.status_code < 500, (body[:50], kind, path, answer.text)
        check_problem(answer, answer.status_code, answer.json()["type"].rpartition(":")[2])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["user", "password", "code", "name", "roles", "accounts", "scopes"])
                | st.text(),
                inner,
            )
        ),
        max_leaves=8,
    )
)
def test_no_json_is_our_fault(served: Service, body: Any) -> None:
    headers = served.headers("admin")
    # Sign-ins are counted by address; here it is always the same one.
    served.state.rates._knocks._levels.clear()
    for method, path in (("POST", "/v1/sign-in"), ("POST", "/v1/users"), ("POST", "/v1/me/keys")):
        try:
            answer = served.client.request(method, path, json=body, headers=headers)
        except (UnicodeEncodeError, ValueError):
            return
        assert answer.status_code < 500


def test_requests_are_counted_by_route(served: Service) -> None:
    def counted() -> dict[str, float]:
        text = served.client.get("/metrics", headers=headers).text
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in text.splitlines())
            if name.startswith("tapeflow_api_requests_total")
        }

    headers = served.headers("admin")
    before = counted()
    served.client.get("/v1/users/tess", headers=headers)
    served.client.get("/v1/users/carl", headers=headers)
    served.client.get("/v1/no-such-route/7")
    after = counted()
    name = 'tapeflow_api_requests_total{method="GET",route="/v1/users/{name}",status="200"}'
    assert after[name] - before.get(name, 0) == 2
    # Addresses that are no route do not make new rows.
    assert not any("no-such-route" in one for one in after)


def test_a_trace_goes_on_from_the_clients() -> None:
    spans = InMemorySpanExporter()
    trace = tracer_to(SimpleSpanProcessor(spans))
    with trace(
        {
            "method": "GET",
            "path": "/v1/me",
            "headers": [(b"traceparent", b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01")],
        },
        "corr-1",
    ) as ended:
        ended("/v1/me", 200)
    (span,) = spans.get_finished_spans()
    assert span.name == "GET /v1/me"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == "ab" * 16
    assert span.attributes is not None
    assert span.attributes["tapeflow.correlation_id"] == "corr-1"
    assert span.attributes["http.response.status_code"] == 200
    assert tracer("") is None


class Parted:
    """A part that notes what is done to it."""

    def __init__(self, name: str, notes: list[str], *, fails: bool = False) -> None:
        self.name = name
        self._notes = notes
        self._fails = fails

    async def start(self) -> None:
        self._notes.append(f"{self.name} started")

    async def stop(self) -> None:
        self._notes.append(f"{self.name} stopped")
        if self._fails:
            raise RuntimeError(f"{self.name} fails")


def test_parts_stop_in_the_opposite_order_even_if_one_fails(tmp_path: Path) -> None:
    notes: list[str] = []

    async def work() -> None:
        async with running(tmp_path) as (app, _):
            state: ApiState = app.state.api
            await state.start(Parted("one", notes))
            await state.start(Parted("two", notes, fails=True))
            assert state.part(Parted).name == "one"
            with pytest.raises(KeyError, match="no part int runs"):
                state.part(int)  # type: ignore[type-var]

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(work())
    assert "two fails" in str(caught.value.exceptions)
    assert notes == ["one started", "two started", "two stopped", "one stopped"]


def entry(number: int) -> AuditEntry:
    return AuditEntry(actor="a", ts_event=number, action="x", result="done")


class FailingLog:
    """A log whose writer fails for as long as it is told to."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.failing = threading.Event()
        self.failed = threading.Event()

    def writer(self, name: str) -> Any:
        writer = self._log.writer(name)
        commit = writer.commit

        def failing(records: list[NewRecord], number: int) -> list[int]:
            if self.failing.is_set():
                self.failed.set()
                raise LogError("away")
            return commit(records, number)

        writer.commit = failing  # type: ignore[method-assign]
        return writer

    def last(self, topic: str, partition: int) -> Any:
        return self._log.last(topic, partition)


def test_what_nobody_waits_for_is_written_once_the_log_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.audit._RETRY_S", 0.01)

    async def work() -> None:
        async with running(tmp_path) as (app, client):
            log = app.state.api.log
            away = FailingLog(log)
            trail = AuditTrail(away)  # type: ignore[arg-type]
            await trail.start()
            away.failing.set()
            trail.note(entry(1))
            trail.note(entry(2))
            with pytest.raises(LogError, match="away"):
                await trail.record(entry(3))
            assert trail.failing
            app.state.api.audit = trail
            assert (await client.get("/ready")).status_code == 503
            away.failing.clear()
            await trail.record(entry(4))
            assert (await client.get("/ready")).status_code == 200
            await trail.stop()
            rows = log.read(AUDIT_LOG.name, 0, 0).records
            assert sum(int(record.header("rows") or 0) for record in rows) == 3
            with pytest.raises(ApiError, match="nothing was done"):
                trail.note(entry(5))

    asyncio.run(work())


def test_the_trail_keeps_so_much_and_then_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.audit._WAITING_MAX", 10)

    async def work() -> None:
        async with running(tmp_path) as (app, _):
            away = FailingLog(app.state.api.log)
            away.failing.set()
            trail = AuditTrail(away)  # type: ignore[arg-type]
            await trail.start()
            trail.note(entry(0))
            await asyncio.to_thread(away.failed.wait)
            # What is kept waits for the next attempt; so many more are taken.
            refused = [_refusal(trail, number) for number in range(50)]
            assert refused[0] is None
            assert [one.status for one in refused[20:] if one is not None] == [503] * 30
            await trail.stop()

    asyncio.run(work())


def _refusal(trail: AuditTrail, number: int) -> ApiError | None:
    try:
        trail.note(entry(number))
    except ApiError as error:
        return error
    return None


@given(
    rate=st.floats(0.1, 1e3),
    burst=st.floats(1, 20),
    waits=st.lists(st.sampled_from([0.0, 0.001, 0.1, 5.0]) | st.floats(0, 10), max_size=60),
)
def test_a_bucket_gives_no_more_than_its_rate_and_burst(
    rate: float, burst: float, waits: list[float]
) -> None:
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    times: list[float] = []
    for wait in waits:
        now[0] += wait
        told = buckets.take("x", rate, burst)
        if told:
            # So long as it says, and there is one.
            now[0] += told * (1 + 1e-9) + 1e-9
            assert buckets.take("x", rate, burst) == 0
        times.append(now[0])
    # In any stretch of time, not only since the beginning: what flows over is lost.
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= burst + rate * (end - begin) + 1e-5 * (1 + last - first)


def test_buckets_are_bounded_and_forget_who_asked_longest_ago() -> None:
    buckets = Buckets(lambda: 0.0, size_max=3)
    for name in "abc":
        assert buckets.take(name, 1, 1) == 0
    assert buckets.take("a", 1, 1) > 0
    assert buckets.take("d", 1, 1) == 0
    assert buckets.take("a", 1, 1) > 0
    assert buckets.take("b", 1, 1) == 0
