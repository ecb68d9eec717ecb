"""Who asks, and whether they may: principals, the scope that a route needs, credentials of requests.

Who somebody is, says the *door* (`serving.api.door`); a test puts another in its place.
"""

import hmac
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request, WebSocket
from starlette.requests import HTTPConnection

from serving.api.audit import Result, came_from, entry_of
from serving.api.problems import ApiError
from serving.api.scopes import TOPIC_SCOPES, UNFILTERED_TOPICS, Role, Scope
from serving.api.state import state_of

SESSION_COOKIE = "tapeflow_session"
CSRF_COOKIE = "tapeflow_csrf"
CSRF_HEADER = "X-CSRF-Token"
API_KEY_HEADER = "X-API-Key"

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_UNSCOPED = (
    "this needs the scope {scope}, which {user} has not; an admin gives roles, and a key has the scopes that it was "
    "made with"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    user : str
        Name of the user.
    roles : frozenset of Role
        What the user is.
    scopes : frozenset of Scope
        What may be done: the roles' scopes, or fewer with an API key.
    sees, trades : frozenset of str or None
        Accounts whose rows may be seen, and for which orders may be given; None for all.
    via : str
        By what: ``session:ID`` or ``key:PREFIX``. Whose requests are counted together.
    rate : float or None
        Requests a second, where others than the setting's.
    csrf : str or None
        Of a dashboard's cookie: what unsafe requests must bring in `CSRF_HEADER`.
    """

    user: str
    roles: frozenset[Role]
    scopes: frozenset[Scope]
    sees: frozenset[str] | None
    trades: frozenset[str] | None
    via: str
    rate: float | None = None
    csrf: str | None = None

    def may_see(self, account: str) -> bool:
        """Whether rows of the account may be seen."""
        return self.sees is None or account in self.sees

    def may_trade(self, account: str) -> bool:
        """Whether orders may be given for the account."""
        return self.trades is None or account in self.trades

    def may_read(self, topic: str) -> bool:
        """Whether its scope is there; see `check_topic`."""
        return TOPIC_SCOPES.get(topic) in self.scopes


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to say who asks; never logged."""

    bearer: str | None
    cookie: str | None


class Door(Protocol):
    """Who says who asks."""

    async def principal(self, credentials: Credentials) -> Principal:
        """Who has these credentials; `ApiError` 401 where nobody has."""

    def check(self) -> None:
        """Raise where it cannot say (`UsersDatabaseError`)."""


class Required:
    """A dependency that lets through who has a scope, and gives the `Principal`.

    Parameters
    ----------
    scope : Scope or None
        What the route needs; None where whoever is known may ask, and the answer goes by who it is.
    """

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Principal:
        """Who asks.

        Raises
        ------
        ApiError
            401 where nobody says who asks, 403 without the scope, 429 beyond the rate.
        """
        principal = await _entered(request, self.scope)
        if principal.csrf is not None and request.method not in _SAFE_METHODS:
            _check_csrf(request, principal.csrf)
        return principal


class Open:
    """A dependency that lets everybody through: a route without a scope says so."""

    async def __call__(self) -> None:
        """Nothing is asked."""


def require(scope: Scope) -> Required:
    """The dependency of a route that needs a scope: ``Annotated[Principal, Depends(require(Scope.X))]``."""
    return Required(scope)


OPEN = Open()
# Streams, say: each topic needs its own scope, and a key that has it need not be one that changes passwords.
KNOWN = Required(None)


async def principal_of_websocket(websocket: WebSocket) -> Principal:
    """Who opens a WebSocket; call it before ``accept``.

    Raises
    ------
    ApiError
        As `Required` does; the client gets it as the answer to its handshake. A cookie counts only from
        pages of this server: browsers send it along with handshakes that any page begins.
    """
    principal = await _entered(websocket, None)
    if principal.csrf is not None and not _same_origin(websocket):
        raise ApiError(403, "cross-site", "a page of another site may not open a stream")
    return principal


def check_topic(principal: Principal, topic: str) -> None:
    """Refuse a topic whose rows need a scope that is not there; `ApiError` 403.

    A topic of orders or accounts without the account in its rows cannot be filtered by it: it is for those
    who see all accounts.
    """
    if not principal.may_read(topic):
        scope = TOPIC_SCOPES.get(topic, Scope.OPERATIONS_READ)
        raise ApiError(403, "scope", _UNSCOPED.format(scope=scope, user=principal.user))
    if not may_read_topic(principal, topic):
        raise ApiError(403, "account", f"rows of {topic} do not name their account")


def may_read_topic(principal: Principal, topic: str) -> bool:
    """Whether rows of a topic may be read, of some accounts at least: what `check_topic` lets through."""
    is_whole = principal.sees is None or topic not in UNFILTERED_TOPICS
    return is_whole and principal.may_read(topic)


def check_trades(principal: Principal, account: str) -> None:
    """Refuse an account that the principal may not trade; `ApiError` 403."""
    if not principal.may_trade(account):
        raise ApiError(403, "account", f"{principal.user} may not trade account {account!r}")


def check_sees(principal: Principal, account: str) -> None:
    """Refuse an account that the principal may not see; `ApiError` 403."""
    if not principal.may_see(account):
        raise ApiError(403, "account", f"{principal.user} may not see account {account!r}")


def credentials_of(connection: HTTPConnection) -> Credentials:
    """What a request brings."""
    headers = connection.headers
    authorization = headers.get("authorization")
    if authorization is not None:
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "bearer" and value:
            return Credentials(value.strip(), None)
        raise ApiError(
            401,
            "credentials",
            "Authorization must be `Bearer` and an access token or an API key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    key = headers.get(API_KEY_HEADER)
    if key:
        return Credentials(key, None)
    return Credentials(None, connection.cookies.get(SESSION_COOKIE))


async def _entered(connection: HTTPConnection, scope: Scope | None) -> Principal:
    state = state_of(connection)
    try:
        principal = await state.door.principal(credentials_of(connection))
    except ApiError as error:
        # Nobody fills the audit log by knocking: who knocks too often is not even asked.
        state.rates.take_knock(came_from(connection).origin)
        state.audit.note(
            entry_of(connection, "", "enter", connection.url.path, Result.REFUSED, error.detail)
        )
        raise
    state.rates.take(principal.via, principal.rate)
    if scope is not None and scope not in principal.scopes:
        detail = _UNSCOPED.format(scope=scope, user=principal.user)
        state.audit.note(
            entry_of(
                connection, principal.user, "enter", connection.url.path, Result.REFUSED, detail
            )
        )
        raise ApiError(403, "scope", detail)
    return principal


def _check_csrf(request: Request, wanted: str) -> None:
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), wanted.encode()):
        raise ApiError(
            403,
            "csrf",
            f"with a cookie, the header {CSRF_HEADER} must have the value of the cookie {CSRF_COOKIE}",
        )


def _same_origin(websocket: WebSocket) -> bool:
    origin = websocket.headers.get("origin", "")
    scheme = "https" if websocket.url.scheme == "wss" else "http"
    return origin == f"{scheme}://{websocket.headers.get('host', '')}"
