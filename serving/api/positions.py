"""Accounts as they stand: limits, cash, positions, and the executions that made them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from schemas.accounts import ACCOUNTS
from schemas.models import model
from schemas.orders import EXECUTIONS
from schemas.positions import BALANCES, POSITIONS
from serving.api.cursors import unknown_cursor
from serving.api.order_pages import objects_of
from serving.api.problems import ApiError
from serving.api.query_times import END_NS, START_NS, From, To
from serving.api.scopes import Scope
from serving.api.security import Principal, check_sees, require
from serving.api.state import ApiState, state_of
from serving.hub.hub import Hub
from serving.hub.lookup import Lookup
from serving.latest.history import History, rows_of
from serving.latest.parts import Entry
from serving.latest.row_store import RowStore

router = APIRouter(prefix="/v1", tags=["positions"])

Watcher = Annotated[Principal, Depends(require(Scope.ACCOUNTS_READ))]
Reader = Annotated[Principal, Depends(require(Scope.ORDERS_READ))]
Account = Annotated[str, Query(min_length=1, max_length=200)]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]


class PositionList(BaseModel):
    """Newest rows of `positions`."""

    positions: list[model(POSITIONS)]  # type: ignore[valid-type]


class ExecutionPage(BaseModel):
    """Rows of `executions`, newest first."""

    executions: list[model(EXECUTIONS)]  # type: ignore[valid-type]
    cursor: str | None = Field(description="Ask for the next page with it; null on the last one")


class AccountStanding(BaseModel):
    """An account: its newest row of `accounts`, its cash and its positions."""

    account: str
    limits: model(ACCOUNTS) | None  # type: ignore[valid-type]
    balances: list[model(BALANCES)]  # type: ignore[valid-type]
    positions: list[model(POSITIONS)]  # type: ignore[valid-type]


@router.get("/positions", responses={200: {"model": PositionList}})
async def positions(
    request: Request,
    principal: Watcher,
    account: Account,
    symbol: Text = None,
    strategy: Annotated[str | None, Query(max_length=200)] = None,
    *,
    flat: Annotated[bool, Query(description="Those that are closed, too")] = False,
) -> Response:
    """Positions of an account, with what they cost, are worth and have brought."""
    check_sees(principal, account)
    entries = await state_of(request).part(Lookup).newest(POSITIONS, [account])
    rows = [
        row
        for row in _objects(entries)
        if symbol in (None, row["symbol"])
        and strategy in (None, row["strategy"])
        and (flat or not _is_flat(row))
    ]
    return _answer({"positions": rows})


@router.get("/executions", responses={200: {"model": ExecutionPage}})
async def executions(
    request: Request,
    principal: Reader,
    account: Account,
    symbol: Text = None,
    strategy: Annotated[str | None, Query(max_length=200)] = None,
    order_id: Text = None,
    start: From = START_NS,
    end: To = END_NS,
    cursor: Annotated[str | None, Query(description="Of the page before", max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Executions of an account, newest first; `from` and `to` are in market time."""
    check_sees(principal, account)
    state = state_of(request)
    wanted = {"account": account, "symbol": symbol, "strategy": strategy, "order_id": order_id}
    store = state.part(Hub).orders.executions()
    first = -1
    while first != store.first:
        # What memory lets go of in between would be looked for neither here nor there.
        first, kept = store.first, store.offsets()
        rows, is_behind = await asyncio.to_thread(
            _executions_in_memory, store, wanted, (start, end), cursor, limit
        )
    is_whole = state.part(Hub).is_whole(EXECUTIONS) and store.first == 0
    if not is_behind and (is_whole or not await _has_landed(state, account, cursor)):
        raise unknown_cursor()
    if len(rows) < limit and not is_whole:
        found = await state.part(History).ask(
            "executions_before",
            **{name: value or "" for name, value in wanted.items()},
            start=start,
            end=end,
            partitions=list(kept) or [-1],
            offsets=list(kept.values()) or [0],
            behind="" if is_behind else cursor or "",
            limit=limit - len(rows),
        )
        rows += objects_of(EXECUTIONS, rows_of(EXECUTIONS, found))
    after = rows[-1]["execution_id"] if len(rows) == limit else None
    return _answer({"executions": rows, "cursor": after})


@router.get("/accounts/{account}", responses={200: {"model": AccountStanding}})
async def account(
    request: Request,
    principal: Watcher,
    account: Annotated[str, Path(max_length=200)],
) -> Response:
    """What an account may do, and what it has."""
    if not principal.may_see(account):
        raise _no_account()
    state = state_of(request)
    limits, balances, held = await asyncio.gather(
        *(_newest(state, topic, account) for topic in (ACCOUNTS, BALANCES, POSITIONS))
    )
    if not (limits or balances or held):
        raise _no_account()
    return _answer(
        {
            "account": account,
            "limits": next(iter(limits), None),
            "balances": balances,
            "positions": [row for row in held if not _is_flat(row)],
        }
    )


async def _newest(state: ApiState, topic: Any, account: str) -> list[dict[str, Any]]:
    return _objects(await state.part(Lookup).newest(topic, [account]))


def _executions_in_memory(
    store: RowStore,
    wanted: dict[str, str | None],
    times: tuple[int, int],
    cursor: str | None,
    limit: int,
) -> tuple[list[dict[str, Any]], bool]:
    """Rows of memory behind the cursor, and whether the cursor is in memory, or none was given."""
    rows: list[dict[str, Any]] = []
    behind = cursor is None
    for _, batch in store.newest_first():
        if not behind:
            at = pc.index(batch.column("execution_id"), cursor).as_py()
            if at < 0 or batch.column("account")[at].as_py() != wanted["account"]:
                continue
            behind = True
            batch = batch.slice(0, at)  # noqa: PLW2901 - what comes before it is older
        time = batch.column("ts_event").cast("int64")
        mask = pc.and_(pc.greater_equal(time, times[0]), pc.less(time, times[1]))
        for name, value in wanted.items():
            if value is not None:
                mask = pc.and_(mask, pc.equal(batch.column(name), value))
        passed = batch.filter(mask)
        if passed.num_rows:
            newest = passed.take(list(range(passed.num_rows - 1, -1, -1)))
            shaped = EXECUTIONS.batch({name: newest.column(name) for name in newest.schema.names})
            rows += objects_of(EXECUTIONS, shaped.slice(0, limit - len(rows)))
        if len(rows) >= limit:
            break
    return rows, behind


async def _has_landed(state: ApiState, account: str, execution_id: str | None) -> bool:
    found = await state.part(History).ask("execution", account=account, execution_id=execution_id)
    return bool(found.num_rows)


def _objects(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [orjson.loads(entry.line) for entry in entries]


def _is_flat(row: dict[str, Any]) -> bool:
    return not row["quantity"].strip("0.-")


def _no_account() -> ApiError:
    return ApiError(404, "no-account", "there is no account of this name that you may see")


def _answer(value: Any) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
