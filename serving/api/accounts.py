"""Accounts, for who may change them: the kill switch, limits, and cash; as `tapeflow account` does on a terminal."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field, create_model

from connectors.log import NewRecord
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, FIRM
from schemas.models import model
from serving.account_changes import AccountError, Accounts, UnknownAccountError
from serving.api.audit import Result, entry_of
from serving.api.bodies import Account, Body
from serving.api.problems import ApiError
from serving.api.scopes import Scope
from serving.api.security import Principal, check_sees, require
from serving.api.state import state_of

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

Halter = Annotated[Principal, Depends(require(Scope.ACCOUNTS_HALT))]
Writer = Annotated[Principal, Depends(require(Scope.ACCOUNTS_WRITE))]
Name = Annotated[
    Account, Path(description=f"An account; {FIRM} is all of them", examples=["ACC-1"])
]

# What the platform says itself, and the switch, which has routes of its own.
_NOT_GIVEN = {"account", "ts_event", "ts_recv", "user", "halted"}


def _settings() -> dict[str, Any]:
    """What an account can be given: the topic's own types and bounds; what is left out stays as it is."""
    return {
        name: (member.rebuild_annotation() | None, Field(None, description=member.description))
        for name, member in model(ACCOUNTS).model_fields.items()
        if name not in _NOT_GIVEN
    }


if TYPE_CHECKING:
    # A checker reads no fields that are made when the program starts.
    AccountSettings = Body
else:
    AccountSettings = create_model("AccountSettings", __base__=Body, **_settings())


class NewAccount(AccountSettings):
    """A new account, with its first cash."""

    deposit: Decimal | None = Field(
        default=None, gt=0, max_digits=38, decimal_places=10, examples=["100000"]
    )


class CashMovement(Body):
    """Cash that comes into an account, or leaves it."""

    amount: Decimal = Field(
        max_digits=38,
        decimal_places=10,
        description="What comes in; below zero goes out",
        examples=["-250.75"],
    )
    currency: str | None = Field(
        default=None, max_length=20, description="By default the account's"
    )
    kind: str | None = Field(
        default=None,
        max_length=40,
        description=f"One of {', '.join(CASH_MOVEMENTS.field('kind').allowed)}; by default by the amount's sign",
    )
    movement_id: Account | None = Field(
        default=None,
        description="Who gives it again books nothing again; made where it is left out",
    )


class Changed(BaseModel):
    """What was done, in words."""

    account: str
    done: str


@router.post("/{account}/halt")
async def halt(account: Name, halter: Halter, request: Request) -> Changed:
    """Throw the kill switch: no new orders of the account, or of all; open ones stay, and can be cancelled."""
    return await _switch(request, halter, account, halted=True)


@router.post("/{account}/resume")
async def resume(account: Name, halter: Halter, request: Request) -> Changed:
    """Let the account, or all, trade again."""
    return await _switch(request, halter, account, halted=False)


@router.put("/{account}")
async def open_account(
    account: Name, body: NewAccount, writer: Writer, request: Request
) -> Changed:
    """Open an account; the same again changes nothing."""
    values = body.model_dump(exclude_unset=True)
    deposit = values.pop("deposit", None)
    return await _change(
        request,
        writer,
        "account_open",
        account,
        lambda accounts: accounts.open(account, values, deposit),
    )


@router.patch("/{account}")
async def set_account(
    account: Name,
    body: AccountSettings,
    writer: Writer,
    request: Request,
) -> Changed:
    """Change what is given; null takes a limit away, and what is left out stays."""
    values = body.model_dump(exclude_unset=True)
    return await _change(
        request, writer, "account_set", account, lambda accounts: accounts.change(account, values)
    )


@router.post("/{account}/cash")
async def move_cash(account: Name, body: CashMovement, writer: Writer, request: Request) -> Changed:
    """Book cash into the account or out of it, once for each `movement_id`."""
    return await _change(
        request,
        writer,
        "account_cash",
        account,
        lambda accounts: accounts.move_cash(
            account,
            body.amount,
            currency=body.currency,
            kind=body.kind,
            movement_id=body.movement_id,
        ),
    )


async def _switch(request: Request, halter: Principal, account: str, *, halted: bool) -> Changed:
    action = "account_halt" if halted else "account_resume"
    return await _change(
        request,
        halter,
        action,
        account,
        lambda accounts: accounts.change(account, {"halted": halted}, action=action),
    )


async def _change(
    request: Request,
    who: Principal,
    action: str,
    account: str,
    deed: Callable[[Accounts], str],
) -> Changed:
    """Do it in a thread; the rows and what the audit log says of them are one commit, on disk when this returns.

    Raises
    ------
    ApiError
        404 for an account that is not there, 422 for values that make no sense; both in the audit log.
    """
    check_sees(who, account)
    state = state_of(request)

    def audited(
        action: str, subject: str, records: Sequence[NewRecord], holds: Callable[[], bool]
    ) -> None:
        entry = entry_of(request, who.user, action, subject, Result.DONE)
        state.audit.writer.append([entry], records, holds=holds)

    try:
        done = await asyncio.to_thread(deed, Accounts(state.log, who.user, audited))
    except AccountError as error:
        refused = entry_of(request, who.user, action, account, Result.REFUSED, str(error))
        await state.audit.record(refused)
        status = 404 if isinstance(error, UnknownAccountError) else 422
        raise ApiError(status, "account", str(error)) from None
    return Changed(account=account, done=done)
