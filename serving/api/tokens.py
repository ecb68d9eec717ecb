"""Signing in and out, and one's own password, second factor, devices and API keys."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from serving.api.bodies import Body, Code, Done, Password, Token, UserName
from serving.api.desk import Desk, session_of
from serving.api.scopes import Role, Scope
from serving.api.security import (
    CSRF_COOKIE,
    OPEN,
    SESSION_COOKIE,
    Principal,
    require,
)
from serving.api.state import state_of
from serving.users.known_devices import LIFETIME_S
from serving.users.passwords import digest
from serving.users.sessions import Cookie, Tokens
from serving.users.sign_in import Claim

router = APIRouter(prefix="/v1", tags=["sign-in"])

Me = Annotated[Principal, Depends(require(Scope.ME))]

_SIGN_IN = "/v1/sign-in"


class SignInBody(Body):
    """Who signs in."""

    user: UserName = Field(examples=["tess"])
    password: Password = Field(
        description="With a one-time token: the one to set",
        examples=["correct horse battery staple"],
    )
    one_time_token: Token | None = Field(
        default=None, description="Of a new user, in place of a password that was never set"
    )
    code: Code | None = Field(
        default=None, description="Of the second factor, or a recovery code", examples=["492039"]
    )
    cookie: bool = Field(
        default=False, description="Set cookies for a page of this server in place of tokens"
    )


class Session(BaseModel):
    """What a program gets."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = Field(default="Bearer")
    expires_in: int = Field(description="Seconds until the access token is too old")


class PageSession(BaseModel):
    """What a page gets, besides its cookies."""

    csrf_token: str = Field(
        description="To be sent in the header X-CSRF-Token with unsafe requests"
    )
    expires_in: int = Field(description="Seconds until the cookie is too old")


class RefreshBody(Body):
    """A refresh token; good once."""

    refresh_token: Token


class Whoami(BaseModel):
    """Who asks."""

    user: str
    roles: list[Role]
    scopes: list[Scope]
    sees: list[str] | None = Field(description="Accounts that may be seen; null for all")
    trades: list[str] | None = Field(description="Accounts that may be traded; null for all")


class PasswordBody(Body):
    """The old password and the new one."""

    old: Password
    new: Password


class CodeBody(Body):
    """A code of the second factor."""

    code: Code


class EnrolmentView(BaseModel):
    """For an authenticator: the secret, and the same as an address for a QR code."""

    secret: str
    uri: str


class RecoveryCodes(BaseModel):
    """Each stands in for the second factor once; they are not told again."""

    recovery_codes: list[str]


@router.post("/sign-in", dependencies=[Depends(OPEN)])
async def sign_in(body: SignInBody, request: Request, response: Response) -> Session | PageSession:
    """Sign in with a password, or set one with a one-time token."""
    state_of(request).rates.take_knock(request.client.host if request.client else "")
    desk = Desk(request, body.user)
    claim = Claim(
        user=body.user,
        password=body.password.get_secret_value(),
        one_time_token=body.one_time_token.get_secret_value() if body.one_time_token else None,
        code=body.code.get_secret_value() if body.code else None,
        origin=desk.whence.origin,
        device=desk.whence.device,
        device_cookie=request.cookies.get(_device_cookie_name(body.user)),
    )
    if body.cookie:
        cookie = await desk.do(
            "sign_in", None, lambda: desk.users.sign_in.cookie(claim), enters=lambda _: body.user
        )
        _set_cookies(request, response, cookie)
        _know_device(request, response, desk, body.user)
        return PageSession(csrf_token=cookie.csrf, expires_in=cookie.expires_s)
    tokens = await desk.do(
        "sign_in", None, lambda: desk.users.sign_in.tokens(claim), enters=lambda _: body.user
    )
    _know_device(request, response, desk, body.user)
    return _session(tokens)


@router.post("/refresh", dependencies=[Depends(OPEN)])
async def refresh(body: RefreshBody, request: Request) -> Session:
    """Get the next tokens; a refresh token that comes twice ends its session."""
    state_of(request).rates.take_knock(request.client.host if request.client else "")
    desk = Desk(request, actor="")
    token = body.refresh_token.get_secret_value()
    tokens, _ = await desk.do(
        "refresh", None, lambda: desk.users.sessions.refresh(token), enters=lambda made: made[1]
    )
    return _session(tokens)


@router.post("/sign-out")
async def sign_out(me: Me, request: Request, response: Response) -> Done:
    """End this session."""
    desk = Desk(request, me.user)
    session_id = session_of(me)
    await desk.do("sign_out", session_id, lambda: desk.users.sessions.end(me.user, session_id))
    for name in (SESSION_COOKIE, CSRF_COOKIE):
        response.delete_cookie(name)
    return Done()


@router.get("/me")
async def me(me: Me) -> Whoami:
    """Who asks, and what they may do."""
    return Whoami(
        user=me.user,
        roles=sorted(me.roles),
        scopes=sorted(me.scopes),
        sees=None if me.sees is None else sorted(me.sees),
        trades=None if me.trades is None else sorted(me.trades),
    )


@router.put("/me/password")
async def change_password(body: PasswordBody, me: Me, request: Request) -> Done:
    """Set another password; all other sessions end."""
    desk = Desk(request, me.user)
    session_id = session_of(me)
    await desk.do(
        "password_change",
        me.user,
        lambda: desk.users.sign_in.change_password(
            me.user,
            body.old.get_secret_value(),
            body.new.get_secret_value(),
            session_id=session_id,
        ),
    )
    return Done()


@router.post("/me/second-factor")
async def begin_second_factor(me: Me, request: Request) -> EnrolmentView:
    """Begin to set up a second factor; it counts once a code has confirmed it."""
    session_of(me)
    desk = Desk(request, me.user)
    made = await desk.do("second_factor_begin", me.user, lambda: desk.users.factors.enrol(me.user))
    return EnrolmentView(secret=made.secret, uri=made.uri)


@router.post("/me/second-factor/confirm")
async def confirm_second_factor(body: CodeBody, me: Me, request: Request) -> RecoveryCodes:
    """Make it count, with a code of it."""
    session_of(me)
    desk = Desk(request, me.user)
    code = body.code.get_secret_value()
    codes = await desk.do(
        "second_factor_on", me.user, lambda: desk.users.factors.confirm(me.user, code)
    )
    return RecoveryCodes(recovery_codes=codes)


@router.post("/me/second-factor/remove")
async def remove_second_factor(body: CodeBody, me: Me, request: Request) -> Done:
    """Remove it, with a code of it or a recovery code."""
    session_of(me)
    desk = Desk(request, me.user)
    code = body.code.get_secret_value()
    await desk.do(
        "second_factor_off",
        me.user,
        lambda: desk.users.sign_in.remove_second_factor(me.user, code),
    )
    return Done()


def _session(tokens: Tokens) -> Session:
    return Session(
        access_token=tokens.access, refresh_token=tokens.refresh, expires_in=tokens.expires_s
    )


def _set_cookies(request: Request, response: Response, cookie: Cookie) -> None:
    secure = request.url.scheme == "https"
    for name, value, hidden in (
        (SESSION_COOKIE, cookie.value, True),
        # The page's scripts read it and send it back in a header, which no other site's can.
        (CSRF_COOKIE, cookie.csrf, False),
    ):
        response.set_cookie(
            name,
            value,
            max_age=cookie.expires_s,
            httponly=hidden,
            secure=secure,
            samesite="strict",
        )


def _know_device(request: Request, response: Response, desk: Desk, user: str) -> None:
    """Let the device be known at the user's next sign-in, whatever strangers have locked."""
    response.set_cookie(
        _device_cookie_name(user),
        desk.users.devices.cookie(user),
        max_age=LIFETIME_S,
        path=_SIGN_IN,
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="strict",
    )


def _device_cookie_name(user: str) -> str:
    # Several users may sign in on one device. Names of users have characters that names of cookies may not have.
    return f"tapeflow_device_{digest(user)[:16]}"
