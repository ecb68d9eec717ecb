"""Users over HTTP: signing in, devices, keys, second factors, and what the audit log says of it all."""

from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from starlette.websockets import WebSocketDisconnect

from connectors.audit_log import verify_chain
from serving.api.scopes import TOPIC_SCOPES, Role, Scope
from serving.users.attempts import FREE
from tests.serving.api.clients import TestClient
from tests.serving.api.signed_in import PASSWORD, URL, Service, service

OTHER = "another horse, another battery"


@pytest.fixture
def served(home: Path) -> Iterator[Service]:
    with service(home) as made:
        yield made


def actions(served: Service) -> list[tuple[str, str, str | None, str]]:
    """What the audit log has, the oldest first, of what was waited for."""
    return [
        (row["actor"], row["action"], row["subject"], row["result"])
        for row in reversed(served.audited())
    ]


def test_a_user_is_made_signs_in_and_is_signed_out(served: Service) -> None:
    admin = served.headers("admin")
    body = {"name": "uma", "roles": ["trader"], "accounts": {"ACC-9": True}}
    made = served.client.post("/v1/users", json=body, headers=admin)
    assert made.status_code == 201
    again = served.client.post("/v1/users", json=body, headers=admin)
    assert (again.status_code, again.json()["type"]) == (409, "urn:tapeflow:problem:user-exists")
    claim = {
        "user": "uma",
        "password": PASSWORD,
        "one_time_token": made.json()["one_time_token"],
    }
    first = served.client.post("/v1/sign-in", json=claim)
    assert first.status_code == 200
    assert served.client.post("/v1/sign-in", json=claim).status_code == 401
    tokens = served.sign_in("uma")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    devices = served.client.get("/v1/me/devices", headers=headers).json()["devices"]
    assert [one["current"] for one in devices] == [True, False]
    assert {one["device"] for one in devices} == {"testclient"}
    lost = f"/v1/me/devices/{devices[1]['id']}"
    assert served.client.delete(lost, headers=headers).status_code == 200
    gone = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert served.client.get("/v1/me", headers=gone).status_code == 401
    assert served.client.post("/v1/sign-out", headers=headers).status_code == 200
    assert served.client.get("/v1/me", headers=headers).status_code == 401
    found = actions(served)
    assert ("admin", "user_new", "uma: roles trader, accounts ACC-9 (trade)", "done") in found
    assert ("uma", "sign_in", None, "done") in found
    assert ("uma", "sign_in", None, "refused") in found
    assert ("uma", "device_revoke", devices[1]["id"], "done") in found
    assert list(verify_chain(served.state.log)) == []


def test_a_sign_in_is_in_the_audit_log_before_it_is_answered(served: Service) -> None:
    answer = served.client.post(
        "/v1/sign-in",
        json={"user": "tess", "password": OTHER},
        headers={"X-Correlation-ID": "mine-1", "User-Agent": "curl/8"},
    )
    assert answer.status_code == 401
    row = served.audited(1)[0]
    assert (row["actor"], row["action"], row["result"]) == ("tess", "sign_in", "refused")
    assert row["reason"] == "user, password or code is wrong"
    assert (row["origin"], row["device"]) == ("testclient", "curl/8")
    assert row["correlation_id"] == "mine-1"


def test_refresh_tokens_rotate_and_a_stolen_one_ends_the_session(served: Service) -> None:
    tokens = served.sign_in("tess")
    second = served.client.post("/v1/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert second.status_code == 200
    headers = {"Authorization": f"Bearer {second.json()['access_token']}"}
    assert served.client.get("/v1/me", headers=headers).status_code == 200
    stolen = served.client.post("/v1/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (stolen.status_code, stolen.json()["type"]) == (401, "urn:tapeflow:problem:reused")
    # At once, although the door had just let them in.
    assert served.client.get("/v1/me", headers=headers).status_code == 401
    found = actions(served)
    assert ("tess", "refresh", None, "done") in found
    assert ("tess", "refresh", None, "refused") in found
    nonsense = served.client.post("/v1/refresh", json={"refresh_token": "tfr_x"})
    assert nonsense.status_code == 401


def test_a_locked_name_is_told_when_to_come_again(served: Service) -> None:
    for _ in range(5):
        served.client.post("/v1/sign-in", json={"user": "tess", "password": OTHER})
    answer = served.client.post("/v1/sign-in", json={"user": "tess", "password": PASSWORD})
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:tapeflow:problem:locked")
    assert 1 <= int(answer.headers["Retry-After"]) <= 15
    admin = served.headers("admin")
    assert served.client.post("/v1/users/tess/unlock", headers=admin).status_code == 200
    served.sign_in("tess")


def test_an_api_key_streams_the_topics_of_its_scopes_and_needs_no_other(served: Service) -> None:
    body = {"name": "bot", "scopes": ["orders:read"]}
    made = served.client.post("/v1/me/keys", json=body, headers=served.headers("tess"))
    key = {"X-API-Key": made.json()["key"]}
    listed = served.client.get("/v1/topics", headers=key).json()["topics"]
    assert {TOPIC_SCOPES[one["name"]] for one in listed} == {Scope.ORDERS_READ}
    with served.client.websocket_connect("ws://127.0.0.1:8000/v1/stream", headers=key) as stream:
        stream.send_json({"subscribe": {"topic": "order_events", "id": "mine"}})
        assert stream.receive_json()["subscribed"] == "mine"
        stream.send_json({"subscribe": {"topic": "quotes", "id": "not mine"}})
        assert stream.receive_json()["error"]["kind"] == "scope"
    assert served.client.get("/v1/stream/quotes", headers=key).status_code == 403


def test_streams_of_a_key_end_when_it_is_revoked_and_those_of_a_session_when_it_is_signed_out(
    served: Service,
) -> None:
    headers = served.headers("tess")
    body = {"name": "bot", "scopes": ["orders:read"]}
    made = served.client.post("/v1/me/keys", json=body, headers=headers).json()
    ways = [
        ({"X-API-Key": made["key"]}, ("DELETE", f"/v1/me/keys/{made['prefix']}")),
        (headers, ("POST", "/v1/sign-out")),
    ]
    for opened_by, ending in ways:
        url = "ws://127.0.0.1:8000/v1/stream"
        with served.client.websocket_connect(url, headers=opened_by) as stream:
            stream.send_json({"subscribe": {"topic": "order_events"}})
            assert stream.receive_json()["subscribed"] == "order_events"
            assert served.client.request(*ending, headers=headers).status_code == 200
            with pytest.raises(WebSocketDisconnect) as ended:
                stream.receive_json()
        assert ended.value.code == 4401


def test_an_api_key_has_its_scopes_and_changes_nothing_of_its_user(served: Service) -> None:
    headers = served.headers("tess")
    body = {"name": "bot", "scopes": ["me", "market:read"], "rate": 5}
    made = served.client.post("/v1/me/keys", json=body, headers=headers)
    assert made.status_code == 201
    key = {"X-API-Key": made.json()["key"]}
    assert served.client.get("/v1/me", headers=key).json()["scopes"] == ["market:read", "me"]
    bearer = {"Authorization": f"Bearer {made.json()['key']}"}
    assert served.client.get("/v1/me", headers=bearer).status_code == 200
    for method, path, sent in (
        ("POST", "/v1/me/keys", body),
        ("PUT", "/v1/me/password", {"old": PASSWORD, "new": OTHER}),
        ("POST", "/v1/me/second-factor", None),
        ("POST", "/v1/me/second-factor/confirm", {"code": "000000"}),
        ("POST", "/v1/me/second-factor/remove", {"code": "000000"}),
        ("POST", "/v1/sign-out", None),
        ("DELETE", f"/v1/me/devices/{'0' * 32}", None),
        ("DELETE", f"/v1/me/keys/{made.json()['prefix']}", None),
    ):
        answer = served.client.request(method, path, json=sent, headers=key)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:tapeflow:problem:key"), (
            path
        )
    listed = served.client.get("/v1/me/keys", headers=headers).json()["keys"]
    assert [(one["name"], one["rate"]) for one in listed] == [("bot", 5.0)]
    assert "key" not in listed[0]
    path = f"/v1/me/keys/{made.json()['prefix']}"
    assert served.client.delete(path, headers=headers).status_code == 200
    assert served.client.get("/v1/me", headers=key).status_code == 401


def test_nobody_makes_a_key_that_may_more_than_its_user(served: Service) -> None:
    headers = served.headers("tess")
    body = {"name": "bot", "scopes": ["users:write"]}
    answer = served.client.post("/v1/me/keys", json=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:tapeflow:problem:scope")
    fast = {"name": "bot", "scopes": ["me"], "rate": 100_000}
    assert served.client.post("/v1/me/keys", json=fast, headers=headers).status_code == 422
    # A key shrinks with its user.
    admin = served.headers("admin")
    made = served.client.post(
        "/v1/me/keys", json={"name": "bot", "scopes": ["me", "orders:write"]}, headers=headers
    ).json()
    served.client.patch("/v1/users/tess", json={"roles": ["quant"]}, headers=admin)
    found = served.client.get("/v1/me", headers={"X-API-Key": made["key"]}).json()
    assert found["scopes"] == ["me"]


def test_a_second_factor_from_enrolment_to_removal(served: Service) -> None:
    headers = served.headers("tess")
    made = served.client.post("/v1/me/second-factor", headers=headers).json()
    codes = pyotp.TOTP(made["secret"])
    # Whatever step it is when each is sent, a code is good once: sign in with recovery codes.
    confirmed = served.client.post(
        "/v1/me/second-factor/confirm", json={"code": codes.now()}, headers=headers
    )
    recovery = confirmed.json()["recovery_codes"]
    missing = served.client.post("/v1/sign-in", json={"user": "tess", "password": PASSWORD})
    assert missing.json()["type"] == "urn:tapeflow:problem:second-factor"
    served.sign_in("tess", code=recovery[0])
    wrong = served.client.post(
        "/v1/me/second-factor/remove", json={"code": "000000"}, headers=headers
    )
    assert wrong.status_code == 401
    removed = served.client.post(
        "/v1/me/second-factor/remove", json={"code": recovery[1]}, headers=headers
    )
    assert removed.status_code == 200
    served.sign_in("tess")


def test_a_password_is_changed_by_who_knows_the_old_one(served: Service) -> None:
    headers, other = served.headers("tess"), served.headers("tess")
    path = "/v1/me/password"
    wrong = served.client.put(path, json={"old": OTHER, "new": OTHER}, headers=headers)
    assert wrong.status_code == 401
    weak = served.client.put(path, json={"old": PASSWORD, "new": "tess" * 4}, headers=headers)
    assert (weak.status_code, weak.json()["type"]) == (422, "urn:tapeflow:problem:password")
    done = served.client.put(path, json={"old": PASSWORD, "new": OTHER}, headers=headers)
    assert done.status_code == 200
    assert served.client.get("/v1/me", headers=headers).status_code == 200
    assert served.client.get("/v1/me", headers=other).status_code == 401


def test_admins_manage_users_devices_and_keys(served: Service) -> None:
    admin = served.headers("admin")
    tess = served.headers("tess")
    made = served.client.post(
        "/v1/me/keys", json={"name": "bot", "scopes": ["me"]}, headers=tess
    ).json()
    page = served.client.get("/v1/users?limit=2", headers=admin).json()
    assert ([one["name"] for one in page["users"]], page["after"]) == (["admin", "carl"], "carl")
    rest = served.client.get("/v1/users?after=carl", headers=admin).json()
    assert ([one["name"] for one in rest["users"]], rest["after"]) == (["quinn", "tess"], None)
    shown = served.client.get("/v1/users/tess", headers=admin).json()
    assert (shown["roles"], shown["accounts"]) == (["trader"], {"ACC-1": True, "ACC-2": False})
    assert not {"password_hash", "totp_sealed"} & set(shown)
    keys = served.client.get("/v1/users/tess/keys", headers=admin).json()["keys"]
    assert [one["prefix"] for one in keys] == [made["prefix"]]
    path = f"/v1/users/tess/keys/{made['prefix']}"
    assert served.client.delete(path, headers=admin).status_code == 200
    assert served.client.delete(path, headers=admin).status_code == 404
    (device,) = served.client.get("/v1/users/tess/devices", headers=admin).json()["devices"]
    path = f"/v1/users/tess/devices/{device['id']}"
    assert served.client.delete(path, headers=admin).status_code == 200
    assert served.client.get("/v1/me", headers=tess).status_code == 401
    reset = served.client.post("/v1/users/tess/reset", json={}, headers=admin).json()
    served.client.post(
        "/v1/sign-in",
        json={"user": "tess", "password": OTHER, "one_time_token": reset["one_time_token"]},
    )
    last = served.client.patch("/v1/users/admin", json={"roles": []}, headers=admin)
    assert (last.status_code, last.json()["type"]) == (409, "urn:tapeflow:problem:last-admin")
    assert served.client.get("/v1/users/nobody", headers=admin).status_code == 404


def test_the_audit_log_is_read_in_pages(served: Service) -> None:
    admin = served.headers("admin")
    for number in range(5):
        served.client.post("/v1/users", json={"name": f"u{number}", "roles": []}, headers=admin)
    found: list[int] = []
    query = ""
    while True:
        page = served.client.get(f"/v1/audit-log?limit=3{query}", headers=admin).json()
        found += [row["sequence"] for row in page["rows"]]
        if page["before"] is None:
            break
        query = f"&before={page['before']}"
    assert found == list(range(found[0], 0, -1))
    assert found[0] >= 6


def test_refusals_are_in_the_audit_log(served: Service) -> None:
    headers = served.headers("tess")
    served.client.get("/v1/users", headers=headers)
    served.client.get("/v1/me", headers={"X-API-Key": "tfk_000000000000_x"})
    # Written behind the answer; what is waited for comes after them.
    served.sign_in("tess")
    found = actions(served)
    assert ("tess", "enter", "/v1/users", "refused") in found
    assert ("-", "enter", "/v1/me", "refused") in found


def test_a_user_of_the_store_is_one_of_the_api(served: Service) -> None:
    """As `tapeflow users add` makes them, beside a running server."""
    served.users.people.create("vera", [Role.COMPLIANCE])
    admin = served.headers("admin")
    assert served.client.get("/v1/users/vera", headers=admin).json()["roles"] == ["compliance"]


def test_a_device_is_known_by_its_cookie_when_strangers_have_locked_the_name(
    served: Service,
) -> None:
    served.sign_in("tess")
    (held,) = [one for one in served.client.cookies.jar if one.name.startswith("tapeflow_device")]
    assert (held.path, held.value is None) == ("/v1/sign-in", False)
    stranger = TestClient(served.app, base_url=URL)
    wrong = {"user": "tess", "password": OTHER}
    for _ in range(FREE):
        assert stranger.post("/v1/sign-in", json=wrong).status_code == 401
    right = {"user": "tess", "password": PASSWORD}
    assert stranger.post("/v1/sign-in", json=right).status_code == 429
    assert served.client.post("/v1/sign-in", json=right).status_code == 200
    # It lets nobody in by itself.
    assert served.client.get("/v1/me").status_code == 401
