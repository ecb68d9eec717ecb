"""One's own devices and API keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from serving.api.bodies import Body, Done, Label
from serving.api.desk import Desk, session_of
from serving.api.problems import ApiError
from serving.api.scopes import Scope
from serving.api.security import Principal, require
from serving.api.state import state_of
from serving.users.api_keys import KeyInfo
from serving.users.sessions import Device

router = APIRouter(prefix="/v1/me", tags=["sign-in"])

Me = Annotated[Principal, Depends(require(Scope.ME))]
DeviceId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
KeyPrefix = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]


class DeviceView(BaseModel):
    """A session that goes on; times are ns since 1970 UTC."""

    id: str
    created: int
    seen: int
    expires: int
    origin: str = Field(description="Address of the sign-in")
    device: str = Field(description="What the client called itself")
    current: bool = Field(description="Whether it is the one that asks")


class DeviceList(BaseModel):
    """The sessions of a user, the one seen last first."""

    devices: list[DeviceView]


class KeyBody(Body):
    """A new API key."""

    name: Label = Field(examples=["nightly report"])
    scopes: list[Scope] = Field(
        min_length=1, max_length=len(Scope), examples=[["market:read", "orders:write"]]
    )
    expires: int | None = Field(
        default=None, ge=0, lt=2**63, description="When it ends, ns since 1970 UTC; null for never"
    )
    rate: float | None = Field(
        default=None, gt=0, le=1e6, description="Requests a second; null for the server's limit"
    )


class KeyView(BaseModel):
    """An API key without its secret; times are ns since 1970 UTC."""

    prefix: str
    name: str
    scopes: list[Scope]
    rate: float | None
    created: int
    expires: int | None


class NewKey(KeyView):
    """A new API key; it is told once."""

    key: str


class KeyList(BaseModel):
    """The API keys of a user that are not revoked."""

    keys: list[KeyView]


@router.get("/devices")
async def devices(me: Me, request: Request) -> DeviceList:
    """Where one is signed in."""
    desk = Desk(request, me.user)
    return device_list(await desk.look(lambda: desk.users.sessions.devices(me.user)), me)


@router.delete("/devices/{device}")
async def sign_out_device(device: DeviceId, me: Me, request: Request) -> Done:
    """Sign a device out."""
    session_of(me)
    desk = Desk(request, me.user)
    await desk.do("device_revoke", device, lambda: desk.users.sessions.end(me.user, device))
    return Done()


@router.get("/keys")
async def keys(me: Me, request: Request) -> KeyList:
    """One's API keys."""
    desk = Desk(request, me.user)
    return key_list(await desk.look(lambda: desk.users.keys.of_user(me.user)))


@router.post("/keys", status_code=201)
async def make_key(body: KeyBody, me: Me, request: Request) -> NewKey:
    """Make an API key, with scopes that one has."""
    session_of(me)
    limit = state_of(request).settings.api_rate
    if body.rate is not None and body.rate > limit:
        raise ApiError(422, "rate", f"the server's limit is {limit:g} requests a second")
    desk = Desk(request, me.user)
    info, key = await desk.do(
        "key_new",
        f"{body.name} ({' '.join(sorted(body.scopes))})",
        lambda: desk.users.keys.create(
            me.user, body.name, body.scopes, expires=body.expires, rate=body.rate
        ),
    )
    return NewKey(**_view(info).model_dump(), key=key)


@router.delete("/keys/{prefix}")
async def revoke_key(prefix: KeyPrefix, me: Me, request: Request) -> Done:
    """End an API key."""
    session_of(me)
    desk = Desk(request, me.user)
    await desk.do("key_revoke", prefix, lambda: desk.users.keys.revoke(me.user, prefix))
    return Done()


def device_list(found: list[Device], me: Principal) -> DeviceList:
    """Devices as the API shows them."""
    return DeviceList(
        devices=[
            DeviceView(
                id=one.id,
                created=one.created,
                seen=one.seen,
                expires=one.expires,
                origin=one.origin,
                device=one.device,
                current=me.via == f"session:{one.id}",
            )
            for one in found
        ]
    )


def key_list(found: list[KeyInfo]) -> KeyList:
    """Keys as the API shows them."""
    return KeyList(keys=[_view(one) for one in found])


def _view(info: KeyInfo) -> KeyView:
    return KeyView(
        prefix=info.prefix,
        name=info.name,
        scopes=list(info.scopes),
        rate=info.rate,
        created=info.created,
        expires=info.expires,
    )
