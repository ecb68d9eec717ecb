"""The application as a whole: errors, correlation ids, parts, counts, traces."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter, Depends, HTTPException
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connectors.log import LogError
from serving.api.problems import ApiError
from serving.api.security import OPEN
from serving.api.state import ApiState
from serving.api.tracing import tracer, tracer_to
from serving.users.database import UsersDatabaseError
from tests.serving.api.answers import check_problem
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


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/orders", "DELETE, GET, POST"),
        ("/v1/orders/O-1", "DELETE, GET, PUT"),
        ("/v1/users/tess", "GET, PATCH"),
        ("/health", "GET"),
    ],
)
def test_a_method_that_is_not_there_is_answered_with_all_that_are(
    served: Service, path: str, allowed: str
) -> None:
    """Only those of the first route of the path were told."""
    answer = served.client.request("OPTIONS", path)
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed
    assert allowed in answer.json()["detail"]


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
                state.part(int)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(work())
    assert "two fails" in str(caught.value.exceptions)
    assert notes == ["one started", "two started", "two stopped", "one stopped"]
