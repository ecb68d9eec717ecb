"""Users, for who may change them: roles, accounts, first sign-in, devices and keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from serving.api.bodies import Account, Body, Done, UserName
from serving.api.desk import Desk
from serving.api.keys import DeviceId, DeviceList, KeyList, KeyPrefix, device_list, key_list
from serving.api.scopes import Role, Scope
from serving.api.security import Principal, require
from serving.user_changes import said
from serving.users.people import Person

router = APIRouter(prefix="/v1/users", tags=["users"])

Admin = Annotated[Principal, Depends(require(Scope.USERS_WRITE))]
Name = Annotated[UserName, Path()]
Accounts = dict[Account, bool]
_ACCOUNTS = "Accounts that the user may see, and whether they may be traded"


class UserView(BaseModel):
    """A user."""

    name: str
    roles: list[Role]
    accounts: dict[str, bool] = Field(description=_ACCOUNTS)
    active: bool
    second_factor: bool
    has_password: bool
    created: int = Field(description="ns since 1970 UTC")


class UserList(BaseModel):
    """Users in order of name."""

    users: list[UserView]
    after: str | None = Field(description="Where the next page begins; null for the last")


class NewUserBody(Body):
    """A new user."""

    name: UserName = Field(examples=["tess"])
    roles: list[Role] = Field(max_length=len(Role), examples=[["trader"]])
    accounts: Accounts = Field(default={}, max_length=1000, examples=[{"ACC-1": True}])


class UserChange(Body):
    """What is given is changed, the rest stays."""

    roles: list[Role] | None = Field(default=None, max_length=len(Role))
    accounts: Accounts | None = Field(default=None, max_length=1000, description=_ACCOUNTS)
    active: bool | None = None


class ResetBody(Body):
    """What is reset besides the password."""

    second_factor: bool = Field(default=False, description="Whether the second factor is removed")


class OneTimeToken(BaseModel):
    """With it the user sets a password, within seven days; it is told once."""

    user: str
    one_time_token: str


@router.get("")
async def users(
    admin: Admin,
    request: Request,
    after: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> UserList:
    """Users, in order of name."""
    desk = Desk(request, admin.user)
    page = await desk.look(lambda: desk.users.people.page(after=after, limit=limit + 1))
    views = [_view(one) for one in page[:limit]]
    return UserList(users=views, after=views[-1].name if len(page) > limit else None)


@router.post("", status_code=201)
async def make_user(body: NewUserBody, admin: Admin, request: Request) -> OneTimeToken:
    """Make a user; the one-time token is for the user."""
    desk = Desk(request, admin.user)
    token = await desk.do(
        "user_new",
        f"{body.name}: {said(body.roles, body.accounts)}",
        lambda: desk.users.people.create(body.name, body.roles, body.accounts),
    )
    return OneTimeToken(user=body.name, one_time_token=token)


@router.get("/{name}")
async def user(name: Name, admin: Admin, request: Request) -> UserView:
    """A user."""
    desk = Desk(request, admin.user)
    return _view(await desk.look(lambda: desk.users.people.get(name)))


@router.patch("/{name}")
async def change_user(name: Name, body: UserChange, admin: Admin, request: Request) -> UserView:
    """Change a user's roles or accounts, or make the user inactive, which ends all sessions."""
    desk = Desk(request, admin.user)
    person = await desk.do(
        "user_change",
        f"{name}: {said(body.roles, body.accounts, active=body.active)}",
        lambda: desk.users.people.change(
            name, roles=body.roles, accounts=body.accounts, active=body.active
        ),
    )
    return _view(person)


@router.post("/{name}/reset")
async def reset_user(name: Name, body: ResetBody, admin: Admin, request: Request) -> OneTimeToken:
    """Take a user's password away and give a one-time token; sessions end, keys are revoked."""
    desk = Desk(request, admin.user)
    token = await desk.do(
        "user_reset",
        name,
        lambda: desk.users.people.reset(name, second_factor=body.second_factor),
    )
    return OneTimeToken(user=name, one_time_token=token)


@router.post("/{name}/unlock")
async def unlock_user(name: Name, admin: Admin, request: Request) -> Done:
    """Forget a user's failed sign-ins."""
    desk = Desk(request, admin.user)
    await desk.do("user_unlock", name, lambda: desk.users.people.unlock(name))
    return Done()


@router.get("/{name}/devices")
async def user_devices(name: Name, admin: Admin, request: Request) -> DeviceList:
    """Where a user is signed in."""
    desk = Desk(request, admin.user)
    return device_list(await desk.look(lambda: desk.users.sessions.devices(name)), admin)


@router.delete("/{name}/devices/{device}")
async def sign_out_user(name: Name, device: DeviceId, admin: Admin, request: Request) -> Done:
    """Sign a device of a user out."""
    desk = Desk(request, admin.user)
    await desk.do(
        "device_revoke", f"{name}: {device}", lambda: desk.users.sessions.end(name, device)
    )
    return Done()


@router.get("/{name}/keys")
async def user_keys(name: Name, admin: Admin, request: Request) -> KeyList:
    """A user's API keys."""
    desk = Desk(request, admin.user)
    return key_list(await desk.look(lambda: desk.users.keys.of_user(name)))


@router.delete("/{name}/keys/{prefix}")
async def revoke_user_key(name: Name, prefix: KeyPrefix, admin: Admin, request: Request) -> Done:
    """End an API key of a user."""
    desk = Desk(request, admin.user)
    await desk.do("key_revoke", f"{name}: {prefix}", lambda: desk.users.keys.revoke(name, prefix))
    return Done()


def _view(person: Person) -> UserView:
    return UserView(
        name=person.name,
        roles=list(person.roles),
        accounts=person.accounts,
        active=person.active,
        second_factor=person.second_factor,
        has_password=person.has_password,
        created=person.created,
    )
