"""Users, sign-in, sessions and keys, in both databases, by a clock that the tests set."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from sqlalchemy import text

from serving.api.scopes import Role, Scope
from serving.settings import Settings
from serving.users.errors import UsersError
from serving.users.passwords import check_strength
from serving.users.sessions import ReusedTokenError
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.serving.users.conftest import OTHER, PASSWORD, Clock
from tests.serving.users.signing_in import enrolled, refusal, sign_in


def test_the_first_admin_is_made_once(users: Users) -> None:
    token = users.people.first_admin()
    assert token is not None
    assert users.people.first_admin() is None
    person = users.people.get("admin")
    assert (person.roles, person.has_password) == ((Role.ADMIN,), False)


def test_two_processes_that_start_at_once_make_one_admin(users_url: str, tmp_path: Path) -> None:
    ready = threading.Barrier(4)

    def start(_: int) -> str | None:
        ready.wait()
        opened = Users(Settings(home=tmp_path, users=users_url))
        try:
            return opened.people.first_admin()
        except UsersError as error:
            return error.kind
        finally:
            opened.close()

    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(start, range(4)))
    tokens = [one for one in given if one is not None and one.startswith("tfo_")]
    assert len(tokens) == 1
    assert set(given) <= {*tokens, None, "conflict"}


def test_a_one_time_token_sets_a_password_once(users: Users) -> None:
    token = users.people.first_admin()
    claim = Claim(user="admin", password=PASSWORD, one_time_token=token)
    users.sign_in.tokens(claim)
    with pytest.raises(UsersError) as caught:
        users.sign_in.tokens(claim)
    assert caught.value.status == 401
    users.sign_in.tokens(Claim(user="admin", password=PASSWORD))


def test_a_one_time_token_ends(users: Users, clock: Clock) -> None:
    token = users.people.first_admin()
    clock.advance(7 * 86_400 + 1)
    with pytest.raises(UsersError) as caught:
        users.sign_in.tokens(Claim(user="admin", password=PASSWORD, one_time_token=token))
    assert caught.value.status == 401


def test_nobody_signs_in_without_a_password_set(users: Users) -> None:
    users.people.first_admin()
    for password in ("", "admin", PASSWORD):
        with pytest.raises(UsersError) as caught:
            users.sign_in.tokens(Claim(user="admin", password=password))
        assert caught.value.status == 401


def test_an_unknown_user_and_a_wrong_password_are_told_the_same(users: Users, tess: str) -> None:
    with pytest.raises(UsersError) as unknown:
        users.sign_in.tokens(Claim(user="nobody", password=PASSWORD))
    wrong = refusal(users, OTHER)
    assert (wrong.status, wrong.kind, wrong.detail) == (
        unknown.value.status,
        unknown.value.kind,
        unknown.value.detail,
    )


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("short", "12 to 256"),
        ("x" * 257, "12 to 256"),
        ("my name is tess", "user's name"),
        ("MY NAME IS TESS", "user's name"),
        ("abababababababab", "different characters"),
    ],
)
def test_a_password_that_is_guessed_soon_is_refused(password: str, fault: str) -> None:
    with pytest.raises(UsersError, match=fault) as caught:
        check_strength(password, "tess")
    assert caught.value.status == 422
    assert password not in caught.value.detail


def test_an_access_token_says_who_and_ends(users: Users, tess: str, clock: Clock) -> None:
    tokens = sign_in(users)
    assert users.sessions.user_of_access(tokens.access)[0] == "tess"
    clock.advance(899)
    users.sessions.user_of_access(tokens.access)
    clock.advance(1)
    with pytest.raises(UsersError, match="too old"):
        users.sessions.user_of_access(tokens.access)


@pytest.mark.parametrize("how", ["another key", "no signature", "altered", "nonsense"])
def test_a_token_that_is_not_ours_is_refused(users: Users, tess: str, how: str) -> None:
    tokens = sign_in(users)
    claims = jwt.decode(tokens.access, options={"verify_signature": False})
    head, body, signature = tokens.access.split(".")
    forged = {
        "another key": lambda: jwt.encode(claims, b"k" * 32, "HS256"),
        "no signature": lambda: jwt.encode(claims, None, "none"),
        "altered": lambda: (
            f"{head}.{jwt.encode({**claims, 'sub': 'admin'}, b'k' * 32).split('.')[1]}.{signature}"
        ),
        "nonsense": lambda: f"{body}",
    }[how]()
    with pytest.raises(UsersError, match="no access token of this server"):
        users.sessions.user_of_access(forged)


def test_a_refresh_token_gives_the_next_ones_and_is_used_up(users: Users, tess: str) -> None:
    first = sign_in(users)
    second, who = users.sessions.refresh(first.refresh)
    assert who == "tess"
    third, _ = users.sessions.refresh(second.refresh)
    tokens = {first.refresh, second.refresh, third.refresh, first.access, second.access}
    assert len(tokens) == 5


def test_a_refresh_token_that_comes_twice_ends_the_family(users: Users, tess: str) -> None:
    stolen = sign_in(users).refresh
    other = sign_in(users)
    mine, _ = users.sessions.refresh(stolen)
    with pytest.raises(ReusedTokenError) as caught:
        users.sessions.refresh(stolen)
    assert caught.value.user == "tess"
    with pytest.raises(UsersError, match="over"):
        users.sessions.refresh(mine.refresh)
    # The user's other sessions go on.
    users.sessions.refresh(other.refresh)
    assert len(users.sessions.devices("tess")) == 1


def test_of_many_who_use_one_refresh_token_at_once_one_gets_tokens(users: Users, tess: str) -> None:
    token = sign_in(users).refresh
    ready = threading.Barrier(6)

    def refresh(_: int) -> str:
        ready.wait()
        try:
            users.sessions.refresh(token)
        except UsersError as error:
            return error.kind
        return "tokens"

    with ThreadPoolExecutor(6) as pool:
        kinds = list(pool.map(refresh, range(6)))
    assert kinds.count("tokens") == 1
    assert "reused" in kinds
    assert users.sessions.devices("tess") == []


def test_a_session_without_a_refresh_ends(users: Users, tess: str, clock: Clock) -> None:
    tokens = sign_in(users)
    clock.advance(604_800)
    with pytest.raises(UsersError, match="over"):
        users.sessions.refresh(tokens.refresh)
    assert users.sessions.devices("tess") == []


def test_devices_are_listed_and_one_is_signed_out(users: Users, tess: str, clock: Clock) -> None:
    kept = sign_in(users)
    clock.advance(5)
    lost = sign_in(users)
    devices = users.sessions.devices("tess")
    assert [one.id for one in devices] == [
        users.sessions.user_of_access(one.access)[1] for one in (lost, kept)
    ]
    assert {one.device for one in devices} == {"test"}
    users.sessions.end("tess", devices[0].id)
    with pytest.raises(UsersError, match="over"):
        users.sessions.refresh(lost.refresh)
    users.sessions.refresh(kept.refresh)
    with pytest.raises(UsersError, match="no such session"):
        users.sessions.end("tess", devices[0].id)
    with pytest.raises(UsersError, match="no such session"):
        users.sessions.end("admin", devices[1].id)


def test_another_password_ends_the_other_sessions(users: Users, tess: str) -> None:
    mine, other = sign_in(users), sign_in(users)
    session_id = users.sessions.user_of_access(mine.access)[1]
    with pytest.raises(UsersError, match="old password"):
        users.sign_in.change_password("tess", OTHER, OTHER, session_id=session_id)
    users.sign_in.change_password("tess", PASSWORD, OTHER, session_id=session_id)
    assert refusal(users).status == 401
    sign_in(users, OTHER)
    users.sessions.refresh(mine.refresh)
    with pytest.raises(UsersError, match="over"):
        users.sessions.refresh(other.refresh)


def test_a_key_does_what_it_was_made_for_until_it_is_over(
    users: Users, tess: str, clock: Clock
) -> None:
    info, key = users.keys.create(
        "tess", "bot", [Scope.MARKET_READ], expires=clock() + 10**9, rate=5.0
    )
    found, user = users.keys.owner(key)
    assert (found, user.name) == (info, "tess")
    assert (found.scopes, found.rate) == ((Scope.MARKET_READ,), 5.0)
    for wrong in (key[:-1], key + "x", "tfk_", "tfk_x_y", key.replace(info.prefix, "0" * 12)):
        with pytest.raises(UsersError, match="no such API key"):
            users.keys.owner(wrong)
    clock.advance(1)
    with pytest.raises(UsersError, match="it is over"):
        users.keys.owner(key)


def test_a_key_is_revoked_by_its_user(users: Users, tess: str) -> None:
    info, key = users.keys.create("tess", "bot", [Scope.MARKET_READ])
    with pytest.raises(UsersError, match="no such API key"):
        users.keys.revoke("admin", info.prefix)
    users.keys.revoke("tess", info.prefix)
    assert users.keys.of_user("tess") == []
    with pytest.raises(UsersError, match="no such API key"):
        users.keys.owner(key)


def test_a_key_has_no_scope_that_its_user_has_not(users: Users, tess: str) -> None:
    with pytest.raises(UsersError, match="users:write") as caught:
        users.keys.create("tess", "bot", [Scope.MARKET_READ, Scope.USERS_WRITE])
    assert caught.value.status == 403


def test_secrets_are_kept_as_hashes(users: Users, tess: str, tmp_path: Path) -> None:
    _, key = users.keys.create("tess", "bot", [Scope.ME])
    tokens = sign_in(users)
    cookie = users.sign_in.cookie(Claim(user="tess", password=PASSWORD))
    told = []
    with users.database.reading() as session:
        for table in ("users", "sessions", "refresh_tokens", "api_keys"):
            told += [repr(row) for row in session.execute(text(f"SELECT * FROM {table}"))]
    everything = "\n".join(told)
    assert "$argon2id$" in everything
    for secret in (PASSWORD, key, key.split("_", 2)[2], tokens.refresh, cookie.value):
        assert secret not in everything


def test_roles_accounts_and_activity_are_changed(users: Users, tess: str) -> None:
    tokens = sign_in(users)
    _, key = users.keys.create("tess", "bot", [Scope.ME])
    person = users.people.change(
        "tess", roles=[Role.QUANT, Role.TRADER], accounts={"ACC-2": True, "ACC-3": False}
    )
    assert person.roles == (Role.QUANT, Role.TRADER)
    assert person.accounts == {"ACC-2": True, "ACC-3": False}
    assert users.people.get("tess") == person
    users.sessions.refresh(tokens.refresh)
    again = sign_in(users)
    users.people.change("tess", active=False)
    assert refusal(users).kind == "credentials"
    with pytest.raises(UsersError, match="over"):
        users.sessions.refresh(again.refresh)
    with pytest.raises(UsersError, match="no such API key"):
        users.keys.owner(key)


def test_a_reset_takes_password_sessions_and_keys_away(
    users: Users, tess: str, clock: Clock
) -> None:
    enrolled(users, clock)
    users.people.unlock("tess")
    _, key = users.keys.create("tess", "bot", [Scope.ME])
    token = users.people.reset("tess", second_factor=True)
    assert refusal(users).kind == "credentials"
    with pytest.raises(UsersError, match="no such API key"):
        users.keys.owner(key)
    users.sign_in.tokens(Claim(user="tess", password=OTHER, one_time_token=token))
    sign_in(users, OTHER)


def test_the_last_admin_stays_one(users: Users, tess: str) -> None:
    with pytest.raises(UsersError, match="nobody would be left"):
        users.people.change("admin", roles=[Role.TRADER])
    with pytest.raises(UsersError, match="nobody would be left"):
        users.people.change("admin", active=False)
    assert users.people.get("admin").roles == (Role.ADMIN,)
    users.people.change("tess", roles=[Role.ADMIN])
    users.people.change("admin", roles=[Role.TRADER])


def test_names_are_unique_and_plain(users: Users, tess: str) -> None:
    with pytest.raises(UsersError) as caught:
        users.people.create("tess", [])
    assert caught.value.status == 409
    for name in ("", "Tess", "te ss", "-tess", "x" * 65, "tess\n", "té"):
        with pytest.raises(UsersError) as caught:
            users.people.create(name, [])
        assert caught.value.status == 422


def test_pages_of_users_are_in_order_of_name(users: Users) -> None:
    for name in ("zoe", "amy", "bob", "cat"):
        users.people.create(name, [])
    first = users.people.page(limit=3)
    assert [one.name for one in first] == ["amy", "bob", "cat"]
    assert [one.name for one in users.people.page(after="cat", limit=3)] == ["zoe"]


def test_what_is_claimed_does_not_show_its_secrets() -> None:
    claim = Claim(user="tess", password=PASSWORD, one_time_token="tfo_x", code="123456")
    assert repr(claim) == "Claim(user='tess')"
