"""The second factor: time-based codes (TOTP, RFC 6238) and recovery codes."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns

import pyotp
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serving.users.database import Database
from serving.users.errors import UsersError
from serving.users.key_file import Keys
from serving.users.models import RecoveryCode, User
from serving.users.passwords import digest
from serving.users.people import found

_ISSUER = "Tapeflow"
_STEP_NS = 30 * 10**9
# A phone's clock may be a step off, either way (RFC 6238, 5.2).
_STEPS_OFF = (0, -1, 1)
_RECOVERY_CODES = 10


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """What an authenticator needs: the secret, and the same as an address for a QR code."""

    secret: str
    uri: str


class SecondFactors:
    """The second factors of all users.

    Parameters
    ----------
    database : Database
        Where.
    keys : Keys
        Seal the secrets.
    clock : callable
        Wall time, ns since 1970 UTC.
    """

    def __init__(self, database: Database, keys: Keys, clock: Callable[[], int] = time_ns) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    def enrol(self, name: str) -> Enrolment:
        """Begin: a new secret, which counts once a code of it has confirmed it.

        Raises
        ------
        UsersError
            409 where there is a second factor already.
        """
        secret = pyotp.random_base32()
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            if user.totp_confirmed:
                raise UsersError(
                    409,
                    "second-factor",
                    "there is a second factor; remove it before another is set up",
                )
            # The step of a code that was taken is of the secret before: the new one's first code may come in it.
            user.totp_sealed, user.totp_step = self._keys.sealed(secret), 0
        uri = pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=_ISSUER)
        return Enrolment(secret=secret, uri=uri)

    def confirm(self, name: str, code: str) -> list[str]:
        """Make it count; recovery codes, each good once, told only here.

        Raises
        ------
        UsersError
            409 where none was begun, 422 where the code is wrong.
        """
        codes = [_recovery_code() for _ in range(_RECOVERY_CODES)]
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            if user.totp_sealed is None or user.totp_confirmed:
                raise UsersError(409, "second-factor", "no second factor is being set up")
            if not self._is_code(user, code):
                raise UsersError(422, "code", "the code is wrong: is the device's clock right?")
            user.totp_confirmed = True
            session.execute(delete(RecoveryCode).where(RecoveryCode.user == name))
            session.add_all([RecoveryCode(hash=digest(_plain(one)), user=name) for one in codes])
        return codes

    def remove(self, session: Session, user: User) -> None:
        """Remove it; whoever asks has shown a code."""
        user.totp_sealed, user.totp_confirmed = None, False
        session.execute(delete(RecoveryCode).where(RecoveryCode.user == user.name))

    def check(self, session: Session, user: User, code: str) -> bool:
        """Whether a code is the user's, now and for the first time; a recovery code is used up."""
        if self._is_code(user, code):
            return True
        query = select(RecoveryCode).where(
            RecoveryCode.user == user.name, RecoveryCode.hash == digest(_plain(code))
        )
        recovery = session.scalars(query.with_for_update()).first()
        if recovery is None:
            return False
        session.delete(recovery)
        return True

    def _is_code(self, user: User, code: str) -> bool:
        if user.totp_sealed is None:
            return False
        codes = pyotp.TOTP(self._keys.opened(user.totp_sealed))
        step = self._clock() // _STEP_NS
        for off in _STEPS_OFF:
            expected = codes.generate_otp(step + off)
            if hmac.compare_digest(expected.encode(), code.strip().encode()):
                if step + off <= user.totp_step:
                    return False
                user.totp_step = step + off
                return True
        return False


def _recovery_code() -> str:
    # 80 bits: no guess hits one, however often it is tried.
    word = secrets.token_hex(10)
    return "-".join(word[at : at + 5] for at in range(0, len(word), 5))


def _plain(code: str) -> str:
    return code.replace("-", "").replace(" ", "").lower()
