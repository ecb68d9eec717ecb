"""Devices that somebody has signed in on: their failed attempts are counted by themselves.

A name is locked for whoever only knows the name. A device that its user has signed in on shows a *device cookie*,
and strangers' failures do not lock it; its own do. Such a cookie signs nobody in.

References
----------
A. Dedov, "Slow Down Online Guessing Attacks with Device Cookies", OWASP Foundation.
"""

import hmac
import secrets
from collections.abc import Callable
from time import time_ns

from serving.users.key_file import Keys

LIFETIME_S = 365 * 86_400
_SECOND_NS = 10**9


class KnownDevices:
    """Makes device cookies, and knows its own.

    Parameters
    ----------
    keys : Keys
        Of the key file.
    clock : callable
        Wall time, ns since 1970 UTC.
    """

    def __init__(self, keys: Keys, clock: Callable[[], int] = time_ns) -> None:
        self._key = keys.devices
        self._clock = clock

    def cookie(self, user: str) -> str:
        """A new cookie for a device on which a user has just signed in; good for `LIFETIME_S`."""
        device, ends = secrets.token_hex(16), self._clock() // _SECOND_NS + LIFETIME_S
        return f"{device}.{ends}.{self._seal(user, device, str(ends))}"

    def device_of(self, cookie: str | None, user: str) -> str | None:
        """The device of a user's cookie; None where it is not ours, another's, or too old."""
        device, _, rest = (cookie or "").partition(".")
        ends, _, seal = rest.partition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(user, device, ends).encode()):
            return None
        return device if int(ends) * _SECOND_NS > self._clock() else None

    def _seal(self, user: str, device: str, ends: str) -> str:
        return hmac.digest(self._key, f"{device}.{ends}.{user}".encode(), "sha256").hex()
