"""Second factors: codes and recovery codes, each good once."""

import pyotp
import pytest
from sqlalchemy import text

from serving.users.attempts import FREE
from serving.users.errors import UsersError
from serving.users.users import Users
from tests.serving.users.conftest import Clock
from tests.serving.users.signing_in import enrolled, refusal, sign_in


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


def test_another_device_is_confirmed_at_once(users: Users, tess: str, clock: Clock) -> None:
    """Its first code comes in the step of the one that removed the device before: that one was of another secret."""
    codes, _ = enrolled(users, clock)
    users.sign_in.remove_second_factor("tess", codes.at(clock() // 10**9 + 30))
    codes = pyotp.TOTP(users.factors.enrol("tess").secret)
    users.factors.confirm("tess", codes.at(clock() // 10**9))
    assert refusal(users, code=codes.at(clock() // 10**9)).kind == "credentials"


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
