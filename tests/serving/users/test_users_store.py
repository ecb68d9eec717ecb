"""Users, sign-in, sessions, second factors and keys, in both databases, by a clock that the tests set."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from serving.api.scopes import Role, Scope
from serving.settings import Settings
from serving.users.attempts import FREE, lock_ns
from serving.users.database import Database, UsersDatabaseError
from serving.users.errors import UsersError
from serving.users.key_file import KeyFileError, load_keys
from serving.users.passwords import check_strength
from serving.users.sessions import ReusedTokenError, Tokens
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.serving.users.conftest import Clock

PASSWORD = "correct horse battery staple"
OTHER = "another horse, another battery"


@pytest.fixture
def tess(users: Users) -> str:
    """A trader with a password; no session is left of setting it."""
    users.people.first_admin()
    token = users.people.create("tess", [Role.TRADER], {"ACC-1": True, "ACC-2": False})
    signed = users.sign_in.tokens(Claim(user="tess", password=PASSWORD, one_time_token=token))
    users.sessions.end("tess", users.sessions.user_of_access(signed.access)[1])
    return "tess"


def sign_in(users: Users, password: str = PASSWORD, code: str | None = None) -> Tokens:
    return users.sign_in.tokens(
        Claim(user="tess", password=password, code=code, origin="127.0.0.1", device="test")
    )


def refusal(users: Users, password: str = PASSWORD, code: str | None = None) -> UsersError:
    with pytest.raises(UsersError) as caught:
        sign_in(users, password, code)
    return caught.value


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


@pytest.mark.parametrize("name", ["tess", "nobody"])
def test_a_name_is_locked_after_failures_and_for_longer_each_time(
    users: Users, tess: str, clock: Clock, name: str
) -> None:
    def attempt(password: str) -> UsersError:
        with pytest.raises(UsersError) as caught:
            users.sign_in.tokens(Claim(user=name, password=password))
        return caught.value

    for _ in range(FREE):
        assert attempt(OTHER).kind == "credentials"
    waits = []
    for _ in range(4):
        # Even the right password does not open it now.
        locked = attempt(PASSWORD)
        assert (locked.status, locked.kind) == (429, "locked")
        assert locked.retry_after_s is not None
        waits.append(locked.retry_after_s)
        clock.advance(locked.retry_after_s)
        assert attempt(OTHER).kind == "credentials"
    assert waits == [15, 30, 60, 120]


def test_a_sign_in_forgets_the_failures_before_it(users: Users, tess: str) -> None:
    for _ in range(3):
        for _ in range(FREE - 1):
            refusal(users, OTHER)
        sign_in(users)


def test_attempts_at_once_gain_nothing(users: Users, tess: str) -> None:
    """Each is counted before it is tried: so many at most are tried, however many come together."""
    with ThreadPoolExecutor(8) as pool:
        kinds = [one.kind for one in pool.map(lambda _: refusal(users, OTHER), range(16))]
    assert kinds.count("credentials") <= FREE
    assert kinds.count("locked") + kinds.count("credentials") == 16


@given(count=st.integers(0, 10_000))
def test_locks_grow_up_to_an_hour(count: int) -> None:
    assert lock_ns(count) <= lock_ns(count + 1) <= 3600 * 10**9
    assert (lock_ns(count) > 0) == (count >= FREE)


def test_unlocking_forgets_the_failures(users: Users, tess: str) -> None:
    for _ in range(FREE + 1):
        refusal(users, OTHER)
    users.people.unlock("tess")
    sign_in(users)


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


def enrolled(users: Users, clock: Clock) -> tuple[pyotp.TOTP, list[str]]:
    made = users.factors.enrol("tess")
    codes = pyotp.TOTP(made.secret)
    assert made.secret in made.uri
    recovery = users.factors.confirm("tess", codes.at(clock() // 10**9))
    clock.advance(60)
    return codes, recovery


def test_a_second_factor_counts_once_it_is_confirmed(users: Users, tess: str, clock: Clock) -> None:
    made = users.factors.enrol("tess")
    sign_in(users)
    with pytest.raises(UsersError, match="wrong"):
        users.factors.confirm("tess", "000000")
    sign_in(users)
    codes = pyotp.TOTP(made.secret)
    recovery = users.factors.confirm("tess", codes.at(clock() // 10**9))
    assert len(set(recovery)) == 10
    assert users.people.get("tess").second_factor
    assert refusal(users).kind == "second-factor"
    clock.advance(30)
    sign_in(users, code=codes.at(clock() // 10**9))


def test_a_code_is_good_once_and_a_step_early_or_late(
    users: Users, tess: str, clock: Clock
) -> None:
    codes, _ = enrolled(users, clock)
    code = codes.at(clock() // 10**9)
    clock.advance(30)
    sign_in(users, code=code)
    assert refusal(users, code=code).kind == "credentials"
    # One of before it is not good after it, either.
    assert refusal(users, code=codes.at(clock() // 10**9 - 60)).kind == "credentials"
    sign_in(users, code=codes.at(clock() // 10**9 + 30))
    clock.advance(3600)
    assert refusal(users, code=codes.at(clock() // 10**9 - 90)).kind == "credentials"


def test_a_recovery_code_is_good_once(users: Users, tess: str, clock: Clock) -> None:
    _, recovery = enrolled(users, clock)
    sign_in(users, code=recovery[0])
    assert refusal(users, code=recovery[0]).kind == "credentials"
    sign_in(users, code=recovery[1].upper().replace("-", " "))


def test_codes_cannot_be_guessed_between_sign_ins_without_one(
    users: Users, tess: str, clock: Clock
) -> None:
    """Who has the password and no code is not counted, and does not reset what is."""
    enrolled(users, clock)
    kinds = []
    for _ in range(FREE):
        assert refusal(users).kind == "second-factor"
        kinds.append(refusal(users, code="000000").kind)
    assert kinds == ["credentials"] * FREE
    assert refusal(users, code="000000").kind == "locked"


def test_a_second_factor_is_removed_with_a_code(users: Users, tess: str, clock: Clock) -> None:
    codes, _ = enrolled(users, clock)
    with pytest.raises(UsersError, match="remove it before"):
        users.factors.enrol("tess")
    with pytest.raises(UsersError, match="wrong"):
        users.sign_in.remove_second_factor("tess", "000000")
    users.sign_in.remove_second_factor("tess", codes.at(clock() // 10**9))
    sign_in(users)


def test_the_secret_of_a_second_factor_is_sealed_in_the_database(users: Users, tess: str) -> None:
    secret = users.factors.enrol("tess").secret
    with users.database.reading() as session:
        (kept,) = session.execute(text("SELECT totp_sealed FROM users WHERE name = 'tess'")).one()
    assert secret.encode() not in bytes(kept)


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
    for secret in (PASSWORD, key, key.rpartition("_")[2], tokens.refresh, cookie.value):
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


def test_what_was_written_is_there_after_a_restart(users_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, users=users_url)
    opened = Users(settings)
    token = opened.people.first_admin()
    signed = opened.sign_in.tokens(Claim(user="admin", password=PASSWORD, one_time_token=token))
    opened.close()
    again = Users(settings)
    assert again.people.first_admin() is None
    assert again.sessions.user_of_access(signed.access)[0] == "admin"
    again.sessions.refresh(signed.refresh)
    again.close()


def test_a_newer_database_is_refused(users_url: str) -> None:
    database = Database(users_url)
    with database.writing() as session:
        session.execute(text("UPDATE schema_version SET version = 99"))
    database.close()
    with pytest.raises(UsersDatabaseError, match="of version 99"):
        Database(users_url)


def test_tables_of_an_older_version_are_upgraded_once_and_keep_what_they_hold(
    users: Users, users_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.people.first_admin()
    steps = (
        ("ALTER TABLE users ADD COLUMN desk VARCHAR(20)", "UPDATE users SET desk = 'first'"),
        ("UPDATE users SET desk = desk || ', second'",),
    )
    monkeypatch.setattr("serving.users.upgrades.UPGRADES", steps)
    for _ in range(2):
        database = Database(users_url)
        with database.reading() as session:
            assert session.execute(text("SELECT name, desk FROM users")).all() == [
                ("admin", "first, second")
            ]
            assert session.execute(text("SELECT version FROM schema_version")).scalar_one() == 3
        database.close()
    # Whoever does not know these tables leaves them alone.
    monkeypatch.undo()
    with pytest.raises(UsersDatabaseError, match="of version 3, this program knows 1"):
        Database(users_url)


def test_an_upgrade_that_fails_leaves_the_tables_as_they_were(
    users_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(users_url).close()
    steps = (("ALTER TABLE users ADD COLUMN desk VARCHAR(20)", "UPDATE nowhere SET desk = 1"),)
    monkeypatch.setattr("serving.users.upgrades.UPGRADES", steps)
    with pytest.raises(UsersDatabaseError):
        Database(users_url)
    monkeypatch.undo()
    database = Database(users_url)
    with database.reading() as session:
        names = list(session.execute(text("SELECT * FROM users")).keys())
    assert "name" in names
    assert "desk" not in names
    database.close()


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(UsersDatabaseError) as caught:
        Database("postgresql://me:very%20secret@127.0.0.1:1/none")
    assert "very" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_database_file_is_its_owners(tmp_path: Path) -> None:
    Database(f"sqlite:///{tmp_path / 'users.db'}").close()
    assert (tmp_path / "users.db").stat().st_mode & 0o777 == 0o600


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "users.key"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_keys(path).tokens, range(8)))
    assert len(set(made)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["users.key"]
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(KeyFileError, match="32 bytes were needed, it has 5"):
        load_keys(path)


def test_what_is_claimed_does_not_show_its_secrets() -> None:
    claim = Claim(user="tess", password=PASSWORD, one_time_token="tfo_x", code="123456")
    assert repr(claim) == "Claim(user='tess')"
