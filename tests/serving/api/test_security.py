"""Who may do what: scopes of every route and topic, cookies and pages, limits, hosts, headers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.routing import APIRoute, APIWebSocketRoute

from connectors.sql_guard_tables import PRIVATE_TOPICS
from schemas.registry import TOPICS
from serving.api.app import create_app
from serving.api.openapi import RouteError, guard_of
from serving.api.problems import ApiError
from serving.api.scopes import (
    MEANINGS,
    ROLE_SCOPES,
    TOPIC_SCOPES,
    UNFILTERED_TOPICS,
    Role,
    Scope,
    scopes_of,
)
from serving.api.security import (
    OPEN,
    Open,
    check_topic,
    principal_of_websocket,
    require,
)
from serving.api.sql import readable
from serving.settings import Settings
from tests.serving.api.apps import principal
from tests.serving.api.clients import TestClient, WebSocketDenialResponse
from tests.serving.api.signed_in import PASSWORD, URL, Service, service

OPEN_ROUTES = {
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/sign-in"),
    ("POST", "/v1/refresh"),
}
DOCS = Path(__file__).resolve().parents[3] / "docs" / "api.md"


@pytest.fixture
def served(home: Path) -> Iterator[Service]:
    with service(home) as made:
        yield made


def routes_of(app: FastAPI) -> list[APIRoute | APIWebSocketRoute]:
    """All routes, also those of routers that were included."""
    found: list[APIRoute | APIWebSocketRoute] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute | APIWebSocketRoute):
            found.append(route)
        else:
            inner = getattr(route, "original_router", None)
            assert inner is not None, f"a route of an unknown kind: {route}"
            waiting += inner.routes
    return found


def test_every_route_says_who_may_use_it(tmp_path: Path) -> None:
    routes = routes_of(create_app(Settings(home=tmp_path)))
    assert len(routes) > 20
    open_to_all = set()
    for route in routes:
        if isinstance(route, APIWebSocketRoute):
            # It asks for itself, before it accepts.
            assert "principal_of_websocket" in route.endpoint.__code__.co_names, route.path
            continue
        # The dashboard's files show no data: who signs in there needs them first.
        if isinstance(guard_of(route), Open) and not route.path.startswith("/dashboard"):
            open_to_all |= {(method, route.path) for method in route.methods or ()}
    assert open_to_all == OPEN_ROUTES


def test_a_route_that_says_nothing_is_an_error() -> None:
    router = APIRouter()

    @router.get("/secret")
    async def secret() -> str:
        return "told"

    @router.get("/twice", dependencies=[Depends(OPEN), Depends(require(Scope.ME))])
    async def twice() -> str:
        return "told"

    for route in router.routes:
        with pytest.raises(RouteError, match="must depend on one of"):
            guard_of(route)


def test_every_topic_says_who_may_read_it() -> None:
    assert set(TOPIC_SCOPES) == set(TOPICS)
    with_account = {name for name, topic in TOPICS.items() if "account" in topic.schema.names}
    private = {
        name
        for name, scope in TOPIC_SCOPES.items()
        if scope in (Scope.ORDERS_READ, Scope.ACCOUNTS_READ)
    }
    # Whose rows they are is nobody else's business; nor is what was rejected of them.
    assert with_account <= private
    assert (private - with_account) | {"dead_letter"} == UNFILTERED_TOPICS


def test_what_is_private_in_the_store_is_private_in_the_api() -> None:
    """No quant reads here what the store's own door keeps from one."""
    quant = principal(Role.QUANT, Role.TRADER, sees=frozenset({"ACC-1"}))
    assert not readable(quant).topics & PRIVATE_TOPICS
    for name in ("dead_letter", "broker_reports"):
        with pytest.raises(ApiError):
            check_topic(quant, name)
    assert "dead_letter" in readable(principal(Role.COMPLIANCE, Role.QUANT)).topics


def test_who_sees_some_accounts_reads_no_topic_that_cannot_be_filtered() -> None:
    some = principal(Role.TRADER, sees=frozenset({"ACC-1"}))
    for name in TOPICS:
        if name in UNFILTERED_TOPICS or TOPIC_SCOPES[name] not in some.scopes:
            with pytest.raises(ApiError):
                check_topic(some, name)
        else:
            check_topic(some, name)
    with pytest.raises(ApiError):
        check_topic(principal(), "_progress.bars")


def test_roles_have_what_their_work_needs_and_no_more() -> None:
    assert scopes_of(frozenset({Role.ADMIN})) == frozenset(Scope)
    assert set(MEANINGS) == set(Scope)
    assert set(ROLE_SCOPES) == set(Role)
    for role in Role:
        assert Scope.ME in ROLE_SCOPES[role]
    writers = {role for role in Role if Scope.ORDERS_WRITE in ROLE_SCOPES[role]}
    assert writers == {Role.TRADER, Role.ADMIN}
    assert {role for role in Role if Scope.USERS_WRITE in ROLE_SCOPES[role]} == {Role.ADMIN}
    assert scopes_of(frozenset()) == frozenset()


def test_the_tables_in_the_docs_are_those_of_the_declaration() -> None:
    lines = ["| scope | what | " + " | ".join(Role) + " |", "|---|---|" + "---|" * len(Role)]
    for scope in Scope:
        marks = " | ".join("yes" if scope in ROLE_SCOPES[role] else "" for role in Role)
        lines.append(f"| `{scope}` | {MEANINGS[scope]} | {marks} |")
    text = DOCS.read_text(encoding="utf-8")
    table = "\n".join(lines)
    assert table in text, f"docs/api.md should have:\n{table}"
    lines = ["| scope | topics |", "|---|---|"]
    for scope in Scope:
        names = [f"`{name}`" for name, needed in TOPIC_SCOPES.items() if needed is scope]
        lines += [f"| `{scope}` | {', '.join(names)} |"] if names else []
    table = "\n".join(lines)
    assert table in text, f"docs/api.md should have:\n{table}"


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("admin", "/v1/users", 200),
        ("tess", "/v1/users", 403),
        ("quinn", "/v1/users", 403),
        ("carl", "/v1/users", 403),
        ("carl", "/v1/audit-log", 200),
        ("tess", "/v1/audit-log", 403),
        ("quinn", "/metrics", 200),
        ("tess", "/metrics", 403),
    ],
)
def test_a_route_lets_in_who_has_its_scope(
    served: Service, name: str, path: str, status: int
) -> None:
    answer = served.client.get(path, headers=served.headers(name))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["type"] == "urn:tapeflow:problem:scope"


def test_without_credentials_every_other_route_is_shut(served: Service) -> None:
    shut = 0
    for route in routes_of(served.app):
        if isinstance(route, APIWebSocketRoute) or isinstance(guard_of(route), Open):
            continue
        for method in route.methods or ():
            # As the door's limit would, were this one client.
            served.state.rates._knocks._levels.clear()
            path = re.sub(r"\{[^}]*\}", "x", route.path)
            answer = served.client.request(method, path, json={})
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            shut += 1
    assert shut > 15


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic YWRtaW46YWRtaW4=",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer tfk_x_y",
        "x",
        "Bearer \xff",
    ],
)
def test_bad_credentials_are_401(served: Service, authorization: str) -> None:
    headers = {"Authorization": authorization.encode("latin-1")}
    assert served.client.get("/v1/me", headers=headers).status_code == 401


def test_a_page_needs_its_csrf_token_for_what_changes_something(served: Service) -> None:
    page = TestClient(served.app, base_url=URL, raise_server_exceptions=False)
    answer = page.post("/v1/sign-in", json={"user": "tess", "password": PASSWORD, "cookie": True})
    cookies = answer.headers.get_list("set-cookie")
    session = next(one for one in cookies if one.startswith("tapeflow_session="))
    csrf = next(one for one in cookies if one.startswith("tapeflow_csrf="))
    assert "HttpOnly" in session
    assert "HttpOnly" not in csrf
    for one in cookies:
        assert "SameSite=strict" in one
        assert "Path=/" in one
    assert answer.json().keys() == {"csrf_token", "expires_in"}
    assert page.get("/v1/me").json()["user"] == "tess"
    body = {"name": "bot", "scopes": ["me"]}
    token = answer.json()["csrf_token"]
    for headers in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": token[:-1] + "\xe9"}):
        sent = {name: value.encode("latin-1") for name, value in headers.items()}
        refused = page.post("/v1/me/keys", json=body, headers=sent)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:tapeflow:problem:csrf")
    assert page.post("/v1/me/keys", json=body, headers={"X-CSRF-Token": token}).status_code == 201
    # Another session's token does not do.
    other = served.sign_in("tess", cookie=True)["csrf_token"]
    served.client.cookies.clear()
    refused = page.post("/v1/me/keys", json=body, headers={"X-CSRF-Token": other})
    assert refused.status_code == 403
    out = page.post("/v1/sign-out", headers={"X-CSRF-Token": token})
    assert out.status_code == 200
    assert page.get("/v1/me").status_code == 401


def test_over_tls_cookies_are_secure_and_the_browser_stays_there(served: Service) -> None:
    page = TestClient(served.app, base_url="https://127.0.0.1:8000")
    answer = page.post("/v1/sign-in", json={"user": "tess", "password": PASSWORD, "cookie": True})
    assert all("Secure" in one for one in answer.headers.get_list("set-cookie"))
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Strict-Transport-Security" not in served.client.get("/health").headers


def test_answers_have_the_headers_that_keep_browsers_out_of_trouble(served: Service) -> None:
    for path in ("/health", "/v1/me", "/nowhere"):
        headers = served.client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        # No other site is let in.
        assert not [name for name in headers if name.lower().startswith("access-control")]
    page = served.client.get("/dashboard").headers
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    preflight = served.client.options(
        "/v1/me", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8000", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8000", 200),
        ("tapeflow.internal", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("[::2]", 400),
        ("", 400),
    ],
)
def test_it_answers_to_its_own_names_only(home: Path, host: str, status: int) -> None:
    """A page of another site may give its own name our address: the browser then says that name."""
    app = create_app(Settings(home=home, api_hosts="tapeflow.internal"))
    with TestClient(app, base_url=URL) as client:
        assert client.get("/health", headers={"Host": host}).status_code == status


def test_a_session_has_so_many_requests_a_second(home: Path) -> None:
    with service(home, api_rate=2) as served:
        headers = served.headers("tess")
        found = [served.client.get("/v1/me", headers=headers) for _ in range(12)]
        counts = {status: sum(one.status_code == status for one in found) for status in (200, 429)}
        assert 4 <= counts[200] < 12
        assert counts[200] + counts[429] == 12
        late = next(one for one in found if one.status_code == 429)
        assert int(late.headers["Retry-After"]) >= 1
        # Another user is not concerned.
        assert served.client.get("/v1/me", headers=served.headers("carl")).status_code == 200


def test_who_only_knocks_is_soon_not_heard(served: Service) -> None:
    statuses = [served.client.get("/v1/me").status_code for _ in range(60)]
    assert statuses[:20] == [401] * 20
    assert statuses[-1] == 429
    # And does not fill the audit log.
    assert len([row for row in served.audited() if row["action"] == "enter"]) <= statuses.count(401)


def websocket_app(served: Service) -> str:
    router = APIRouter()

    @router.websocket("/test-stream")
    async def stream(websocket: WebSocket) -> None:
        who = await principal_of_websocket(websocket)
        await websocket.accept()
        await websocket.send_text(who.user)
        if await websocket.receive_text() == "more":
            check_topic(who, "audit_log")
        await websocket.close()

    served.app.include_router(router)
    return "ws://127.0.0.1:8000/test-stream"


def test_a_websocket_is_opened_by_who_may(served: Service) -> None:
    path = websocket_app(served)
    with served.client.websocket_connect(path, headers=served.headers("tess")) as opened:
        assert opened.receive_text() == "tess"
        opened.send_text("done")
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        served.client.websocket_connect(path),
    ):
        pass
    assert refused.value.status_code == 401
    assert refused.value.json()["type"] == "urn:tapeflow:problem:credentials"


def test_a_cookie_opens_a_websocket_from_our_own_page_only(served: Service) -> None:
    path = websocket_app(served)
    page = TestClient(served.app, base_url=URL)
    page.post("/v1/sign-in", json={"user": "tess", "password": PASSWORD, "cookie": True})
    with page.websocket_connect(path, headers={"Origin": URL}) as opened:
        assert opened.receive_text() == "tess"
        opened.send_text("done")
    for origin in ("https://evil.example", "http://127.0.0.1:8001", "null", ""):
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            page.websocket_connect(path, headers={"Origin": origin} if origin else {}),
        ):
            pass
        assert refused.value.status_code == 403


def test_what_is_refused_within_a_websocket_closes_it_with_a_reason(served: Service) -> None:
    path = websocket_app(served)
    with served.client.websocket_connect(path, headers=served.headers("tess")) as opened:
        opened.receive_text()
        opened.send_text("more")
        closed = opened.receive()
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert "audit:read" in closed["reason"]


def test_a_change_of_a_user_holds_at_once(served: Service) -> None:
    admin, tess = served.headers("admin"), served.headers("tess")
    assert served.client.get("/v1/me", headers=tess).json()["trades"] == ["ACC-1"]
    change = {"roles": ["compliance"], "accounts": {}}
    served.client.patch("/v1/users/tess", json=change, headers=admin)
    found = served.client.get("/v1/me", headers=tess).json()
    assert (found["roles"], found["sees"], found["trades"]) == (["compliance"], None, [])
    served.client.patch("/v1/users/tess", json={"active": False}, headers=admin)
    assert served.client.get("/v1/me", headers=tess).status_code == 401


def test_accounts_are_of_who_has_them(served: Service) -> None:
    found = {
        name: served.client.get("/v1/me", headers=served.headers(name)).json()
        for name in ("admin", "tess", "quinn", "carl")
    }
    assert [found["tess"][of] for of in ("sees", "trades")] == [["ACC-1", "ACC-2"], ["ACC-1"]]
    assert [found["admin"][of] for of in ("sees", "trades")] == [None, None]
    assert [found["carl"][of] for of in ("sees", "trades")] == [None, []]
    assert [found["quinn"][of] for of in ("sees", "trades")] == [[], []]
