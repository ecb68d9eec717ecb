"""Bodies of requests: how long and how slow they may be, and that no malformed one is our fault."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.api.envelope import Envelope, Limits
from tests.serving.api.answers import check_problem
from tests.serving.api.signed_in import Service, service


@pytest.fixture
def served(home: Path) -> Iterator[Service]:
    with service(home) as made:
        yield made


def test_too_long_a_body_is_refused_whatever_it_says_of_itself(served: Service) -> None:
    headers = served.headers("tess")
    long = b"x" * ((16 << 20) + 1)
    said = served.client.post("/v1/orders", content=long, headers=headers)
    check_problem(said, 413, "too-long")
    unsaid = served.client.post("/v1/orders", content=iter([long]), headers=headers)
    check_problem(unsaid, 413, "too-long")
    # Strangers may send a sign-in, and no more; tess's device has a cookie by now.
    served.client.cookies.clear()
    stranger = served.client.post("/v1/sign-in", content=b"x" * ((64 << 10) + 1))
    check_problem(stranger, 413, "too-long")
    lied = served.client.post("/v1/sign-in", content=b"{}", headers={"Content-Length": "-1"})
    assert lied.status_code == 413


@pytest.mark.parametrize(
    ("path", "field", "others"),
    [
        ("/v1/sign-in", "password", {"user": "tess"}),
        ("/v1/sign-in", "one_time_token", {"user": "tess", "password": "another horse"}),
        ("/v1/sign-in", "code", {"user": "tess", "password": "another horse"}),
        ("/v1/refresh", "refresh_token", {}),
        ("/v1/me/second-factor/confirm", "code", {}),
    ],
)
def test_half_a_character_in_a_secret_is_a_fault_of_the_body(
    served: Service, path: str, field: str, others: dict[str, str]
) -> None:
    """JSON can say a lone surrogate; to hash it failed as a fault of the server, for strangers too."""
    answer = served.client.post(
        path,
        content=json.dumps({**others, field: "half \ud800"}),
        headers={**served.headers("tess"), "Content-Type": "application/json"},
    )
    check_problem(answer, 422, "invalid-request")
    assert answer.json()["errors"] == [
        {"at": f"body/{field}", "fault": "must be Unicode text, without lone surrogates"}
    ]


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


@settings(max_examples=60)
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
