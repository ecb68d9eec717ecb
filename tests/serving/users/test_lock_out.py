"""Locks after failed sign-ins, and what strangers cannot lock, in both databases."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.users.attempts import FREE, lock_ns
from serving.users.errors import UsersError
from serving.users.key_file import load_keys
from serving.users.known_devices import KnownDevices
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.serving.users.conftest import OTHER, PASSWORD, Clock
from tests.serving.users.signing_in import refusal, sign_in


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


def test_strangers_cannot_lock_a_device_that_its_user_has_signed_in_on(
    users: Users, tess: str, clock: Clock
) -> None:
    cookie = users.devices.cookie("tess")
    for _ in range(FREE):
        refusal(users, OTHER)
    assert refusal(users).kind == "locked"
    known = Claim(user="tess", password=PASSWORD, device_cookie=cookie)
    users.sign_in.tokens(known)
    # It is no password, and what it lets in is counted: as many attempts as a stranger has.
    for _ in range(FREE):
        with pytest.raises(UsersError) as caught:
            users.sign_in.tokens(Claim(user="tess", password=OTHER, device_cookie=cookie))
        assert caught.value.kind == "credentials"
    with pytest.raises(UsersError) as caught:
        users.sign_in.tokens(known)
    assert caught.value.kind == "locked"
    users.people.unlock("tess")
    users.sign_in.tokens(known)


def test_a_device_cookie_is_of_one_user_of_this_key_file_and_ends(
    users: Users, tess: str, clock: Clock, tmp_path: Path
) -> None:
    def knows(cookie: str, user: str = "tess") -> bool:
        return users.devices.device_of(cookie, user) is not None

    cookie = users.devices.cookie("tess")
    device, ends, seal = cookie.split(".")
    others = KnownDevices(load_keys(tmp_path / "other.key"), clock).cookie("tess")
    assert knows(cookie)
    assert not knows(cookie, "admin")
    assert not any(
        knows(junk)
        for junk in (
            "",
            ".",
            "..",
            "é.é.é",
            others,
            f"{device}.{ends}",
            f"{device}.{int(ends) + 1}.{seal}",
            f"{device}0.{ends}.{seal}",
        )
    )
    clock.advance(365 * 86_400)
    assert not knows(cookie)


def test_strangers_cannot_keep_anybody_from_a_one_time_token(users: Users) -> None:
    token = users.people.first_admin()
    for guess in ("tfo_a", "tfo_b", "tfo_c", "tfo_d", "tfo_e", "tfo_f"):
        with pytest.raises(UsersError) as caught:
            users.sign_in.tokens(Claim(user="admin", password=PASSWORD, one_time_token=guess))
        assert caught.value.kind == "credentials"
    for _ in range(FREE + 1):
        with pytest.raises(UsersError):
            users.sign_in.tokens(Claim(user="admin", password=PASSWORD))
    users.sign_in.tokens(Claim(user="admin", password=PASSWORD, one_time_token=token))


def test_strangers_cannot_keep_a_user_who_is_signed_in_from_another_password(
    users: Users, tess: str
) -> None:
    session_id = users.sessions.user_of_access(sign_in(users).access)[1]
    for _ in range(FREE):
        refusal(users, OTHER)
    users.sign_in.change_password("tess", PASSWORD, OTHER, session_id=session_id)
    for _ in range(FREE):
        with pytest.raises(UsersError, match="old password"):
            users.sign_in.change_password("tess", PASSWORD, PASSWORD, session_id=session_id)
    with pytest.raises(UsersError, match="too many"):
        users.sign_in.change_password("tess", OTHER, PASSWORD, session_id=session_id)
