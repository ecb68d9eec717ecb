"""Signing tess in, with a second factor too, or being refused."""

import pyotp
import pytest

from serving.users.errors import UsersError
from serving.users.sessions import Tokens
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.serving.users.conftest import PASSWORD, Clock


def sign_in(users: Users, password: str = PASSWORD, code: str | None = None) -> Tokens:
    return users.sign_in.tokens(
        Claim(user="tess", password=password, code=code, origin="127.0.0.1", device="test")
    )


def refusal(users: Users, password: str = PASSWORD, code: str | None = None) -> UsersError:
    with pytest.raises(UsersError) as caught:
        sign_in(users, password, code)
    return caught.value


def enrolled(users: Users, clock: Clock) -> tuple[pyotp.TOTP, list[str]]:
    made = users.factors.enrol("tess")
    codes = pyotp.TOTP(made.secret)
    assert made.secret in made.uri
    recovery = users.factors.confirm("tess", codes.at(clock() // 10**9))
    clock.advance(60)
    return codes, recovery
