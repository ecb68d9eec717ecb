"""Orders: given, replaced, cancelled, asked for. What is acknowledged here is on disk.

The routes take raw bodies: the gateway's own readers are exact with decimals and read a batch column-wise; the
models of the document are derived from the same declaration.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace as replaced
from itertools import chain
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from flows.orders.commands import REPLACEABLE
from schemas.field import TEXT
from schemas.order_ids import order_id_of
from serving.api.audit import Result, entry_of
from serving.api.order_bodies import (
    BATCH_BODY,
    ORDER_BODY,
    REPLACEMENT_BODY,
    Checked,
    OrderPage,
    OrderStanding,
    PreparedBatch,
    Received,
    ReceivedBatch,
    prepare_batch,
)
from serving.api.order_pages import (
    OrderFilter,
    find_order,
    landed_command,
    orders_page,
    whose,
)
from serving.api.problems import ApiError, correlation_of
from serving.api.query_times import END_NS, START_NS, From, To
from serving.api.scopes import Scope
from serving.api.security import Principal, check_sees, check_trades, require
from serving.api.state import ApiState, Part, state_of
from serving.api.stored_rows import StoredRows
from serving.api.trial import trial
from serving.gateway.gateway import OrderGateway
from serving.gateway.known_orders import positions_text
from serving.gateway.order_rows import command_row, said
from serving.gateway.order_writer import USED_BEFORE, BusyError, Submission
from serving.gateway.requests import (
    RequestFaultError,
    order_model,
    read_one,
    replacement_model,
)
from serving.hub.hub import Hub
from serving.hub.lookup import Lookup

router = APIRouter(prefix="/v1/orders", tags=["orders"])

PARTS: tuple[Callable[[ApiState], Part], ...] = (
    lambda state: StoredRows(state.settings.store),
    lambda state: Hub(state.log),
    lambda state: Lookup(state.part(Hub), state.part(StoredRows)),
    lambda state: OrderGateway(state.log, state.audit.writer.append),
)

Trader = Annotated[Principal, Depends(require(Scope.ORDERS_WRITE))]
Reader = Annotated[Principal, Depends(require(Scope.ORDERS_READ))]
OrderId = Annotated[str, Path(description="Identifier given by Tapeflow", max_length=64)]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]

_ARRAY = re.compile(rb"[ \t\r\n]*\[")
_STATUS = {"conflict": 409, "invalid": 422}
# An object of a thousand: to make each of a dictionary takes three times as long.
_RECEIVED = (
    '{"order_id":"%s","client_order_id":%s,"account":%s,"status":"received","position":"%s"}'
)
# Of one order, with all its texts at their longest and escaped: it is read on the event loop.
_ONE_BYTES = 128 << 10
# Of commands that speak of no single order.
_NO_ORDER = ""


@router.post(
    "",
    status_code=201,
    openapi_extra=BATCH_BODY,
    responses={
        200: {"model": ReceivedBatch, "description": "A batch: what became of each order"},
        201: {"model": Received, "description": "One order: it is on disk"},
    },
)
async def place(request: Request, principal: Trader) -> Response:
    """Give one order, or up to 10,000 at once.

    What is acknowledged is in the log, synced to disk. Of a batch each order is taken or refused by itself; orders
    for an account that one may not trade refuse the whole request. The same client order id again gives the first
    one's answer if the order is the same, and 409 if it is another.
    """
    body = await request.body()
    if _ARRAY.match(body):
        return await _place_batch(request, principal, body)
    fields = _read(body, order_model)
    order_id = order_id_of(fields["account"], fields["client_order_id"])
    submission = await _command(
        request, principal, "new", {**fields, "order_id": order_id}, "order_new"
    )
    return _answer(_received(submission), 201)


@router.post(
    "/check",
    openapi_extra=ORDER_BODY,
    responses={200: {"model": Checked}},
)
async def check(request: Request, principal: Trader) -> Response:
    """Ask what the pre-trade checks would say of an order now; nothing is ordered."""
    fields = _read(await request.body(), order_model)
    _check_account(request, principal, fields["account"], "order_check")
    order_id = order_id_of(fields["account"], fields["client_order_id"])
    command = command_row(
        {**fields, "order_id": order_id},
        command="new",
        user=principal.user,
        correlation_id=correlation_of(request),
    )
    found = await trial(state_of(request), command)
    rejection = None if found is None else found._asdict()
    return _answer({"passes": found is None, "rejection": rejection}, 200)


@router.put(
    "/{order_id}",
    status_code=202,
    openapi_extra=REPLACEMENT_BODY,
    responses={202: {"model": Received}},
)
async def replace(request: Request, principal: Trader, order_id: OrderId) -> Response:
    """Ask for other terms of an order; what is left out stays. Its events say what became of it."""
    fields = _read(await request.body(), replacement_model)
    if not fields:
        raise ApiError(422, "invalid-order", f"one of {', '.join(REPLACEABLE)} must be given")
    return await _change(request, principal, order_id, "replace", fields)


@router.delete("/{order_id}", status_code=202, responses={202: {"model": Received}})
async def cancel(request: Request, principal: Trader, order_id: OrderId) -> Response:
    """Ask for an order's cancellation; its events say what became of it."""
    return await _change(request, principal, order_id, "cancel", {})


@router.delete("", status_code=202, responses={202: {"model": Received}})
async def cancel_all(
    request: Request,
    principal: Trader,
    account: Annotated[str, Query(min_length=1, max_length=200)],
    symbol: Text = None,
) -> Response:
    """Ask for the cancellation of an account's open orders, all or those of a symbol."""
    fields = {
        "account": account,
        "client_order_id": _NO_ORDER,
        "order_id": _NO_ORDER,
        "symbol": symbol,
    }
    submission = await _command(request, principal, "cancel_all", fields, "order_cancel_all")
    return _answer(_received(submission), 202)


@router.get("/{order_id}", responses={200: {"model": OrderStanding}})
async def order(request: Request, principal: Reader, order_id: OrderId) -> Response:
    """How an order stands, with its events and executions, oldest first."""
    found = await find_order(state_of(request), order_id)
    if found is None or not principal.may_see(found["account"]):
        raise _no_order()
    return _answer(found, 200)


@router.get("", responses={200: {"model": OrderPage}})
async def orders(
    request: Request,
    principal: Reader,
    account: Annotated[str, Query(min_length=1, max_length=200)],
    symbol: Text = None,
    status: Annotated[
        Literal[
            "open",
            "received",
            "accepted",
            "working",
            "partially_filled",
            "filled",
            "cancelled",
            "expired",
            "rejected",
        ]
        | None,
        Query(description="How they stand; `open` is all that has not ended"),
    ] = None,
    strategy: Text = None,
    start: From = START_NS,
    end: To = END_NS,
    cursor: Annotated[str | None, Query(description="Of the page before", max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Orders of an account as they stand, newest first; `from` and `to` are of when they were received."""
    check_sees(principal, account)
    asked = OrderFilter(
        account=account,
        symbol=symbol,
        status=status,
        strategy=strategy,
        start_ns=start,
        end_ns=end,
    )
    page = await orders_page(state_of(request), asked, cursor=cursor, limit=limit)
    return _answer({"orders": page.orders, "cursor": page.cursor}, 200)


async def _place_batch(request: Request, principal: Principal, body: bytes) -> Response:
    correlation = correlation_of(request)
    try:
        prepared = await asyncio.to_thread(prepare_batch, body, principal.user, correlation)
    except RequestFaultError as fault:
        raise _invalid(fault) from fault
    for account in prepared.accounts:
        _check_account(request, principal, account, "order_new_batch")
    subject = f"{prepared.batch.num_rows} orders for {', '.join(prepared.accounts[:10])}"
    audit = entry_of(request, principal.user, "order_new_batch", subject, Result.DONE)
    submission = Submission(batch=prepared.batch, audit=audit)
    if prepared.batch.num_rows:
        await _submit(state_of(request), submission)
    if prepared.batch.num_rows and len(submission.refused) == prepared.batch.num_rows:
        # Where one is taken, the audit is in its commit.
        why = next(iter(submission.refused.values())).reason
        refused = replaced(audit, result=Result.REFUSED, reason=why)
        state_of(request).audit.note(refused)
    answer = await asyncio.to_thread(_batch_answer, prepared, submission)
    return Response(answer, media_type="application/json")


def _batch_answer(prepared: PreparedBatch, submission: Submission) -> bytes:
    """What became of each order, in the order of the body."""
    clients = prepared.batch.column("client_order_id").to_pylist()
    accounts = prepared.batch.column("account").cast(TEXT).to_pylist()
    received = zip(
        submission.order_ids,
        _json_texts(clients),
        _json_texts(accounts),
        positions_text(submission.places),
        strict=True,
    )
    # One text of all: no JSON text holds a line feed, so that it can be cut between orders.
    answers = (",\n".join([_RECEIVED] * len(clients)) % tuple(chain(*received))).encode()
    refused = len(prepared.faults) + len(submission.refused)
    if refused:
        given = answers.split(b",\n") if clients else []
        by_row = dict(zip(prepared.rows, given, strict=True))
        for row, (client, reason) in prepared.faults.items():
            by_row[row] = _unreceived(client, "invalid", reason)
        for at, refusal in submission.refused.items():
            by_row[prepared.rows[at]] = _unreceived(clients[at], refusal.kind, refusal.reason)
        answers = b",\n".join(by_row[row] for row in range(prepared.count))
    counts = b'{"received":%d,"refused":%d,"orders":[' % (prepared.count - refused, refused)
    return b"".join((counts, answers, b"]}"))


def _json_texts(texts: list[str]) -> list[str]:
    """Texts as JSON: those that hold no character which JSON escapes, all at once."""
    together = "".join(texts)
    if together.isprintable() and '"' not in together and "\\" not in together:
        return [f'"{text}"' for text in texts]
    return [orjson.dumps(text).decode() for text in texts]


def _unreceived(client: str | None, kind: str, reason: str) -> bytes:
    return orjson.dumps(
        {"client_order_id": client, "status": "refused", "kind": kind, "reason": reason}
    )


async def _change(
    request: Request, principal: Principal, order_id: str, command: str, fields: dict[str, Any]
) -> Response:
    owner = await whose(state_of(request), order_id)
    if owner is None or not principal.may_see(owner[0]):
        raise _no_order()
    account, client_order_id = owner
    named = {"account": account, "client_order_id": client_order_id, "order_id": order_id}
    submission = await _command(
        request, principal, command, {**fields, **named}, f"order_{command}"
    )
    return _answer(_received(submission), 202)


async def _command(
    request: Request, principal: Principal, command: str, fields: dict[str, Any], action: str
) -> Submission:
    """Write one command; an error where it is refused."""
    _check_account(request, principal, fields["account"], action)
    row = command_row(
        fields, command=command, user=principal.user, correlation_id=correlation_of(request)
    )
    subject = fields["order_id"] or fields["account"]
    audit = entry_of(request, principal.user, action, subject, Result.DONE)
    state = state_of(request)
    submission = await _submit(state, Submission(commands=[row], audit=audit))
    for refusal in submission.refused.values():
        state.audit.note(
            entry_of(
                request, principal.user, action, subject, Result.REFUSED, reason=refusal.reason
            )
        )
        raise ApiError(
            _STATUS[refusal.kind],
            "invalid-order" if refusal.kind == "invalid" else "client-order-id",
            refusal.reason,
        )
    return submission


async def _submit(state: ApiState, submission: Submission) -> Submission:
    try:
        await state.part(OrderGateway).submit(submission)
    except BusyError as error:
        raise ApiError(503, "busy", str(error), headers={"Retry-After": "1"}) from error
    for row, words in submission.unread.items():
        first = await landed_command(state, submission.order_ids[row])
        # What is nowhere any more gets the first one's answer: to take it again could be to order twice.
        if first is not None and said(first)[0] != words:
            submission.places[row] = -1
            submission.refused[row] = USED_BEFORE
    return submission


def _check_account(request: Request, principal: Principal, account: str, action: str) -> None:
    try:
        check_trades(principal, account)
    except ApiError as error:
        state_of(request).audit.note(
            entry_of(request, principal.user, action, account, Result.REFUSED, reason=error.detail)
        )
        raise


def _read(body: bytes, kind: Callable[[], Any]) -> dict[str, Any]:
    if len(body) > _ONE_BYTES:
        raise ApiError(413, "too-long", f"one order has at most {_ONE_BYTES:,} bytes")
    try:
        return read_one(body, kind())
    except RequestFaultError as fault:
        raise _invalid(fault) from fault


def _invalid(fault: RequestFaultError) -> ApiError:
    errors = [{"at": f"body/{at}", "fault": why} for at, why in fault.faults]
    if not errors:
        return ApiError(422, "invalid-order", str(fault))
    return ApiError(422, "invalid-order", str(fault), errors=errors)


def _no_order() -> ApiError:
    return ApiError(404, "no-order", "there is no order of this identifier that you may see")


def _received(submission: Submission) -> dict[str, str]:
    command = (submission.commands or [{}])[0]
    return {
        "order_id": submission.order_ids[0],
        "client_order_id": command["client_order_id"],
        "account": command["account"],
        "status": "received",
        "position": positions_text(submission.places)[0],
    }


def _answer(value: Any, status: int) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")
