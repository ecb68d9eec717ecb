"""Orders that are asked for: from memory, and what is older from ClickHouse."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
import pyarrow as pa

from flows.orders.states import ENDED, UNKNOWN
from schemas.json_codec import encode_lines
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic
from serving.api.cursors import unknown_cursor
from serving.api.state import ApiState
from serving.gateway.gateway import OrderGateway
from serving.hub.hub import Hub
from serving.latest.history import History, rows_of
from serving.latest.orders_view import Json, OrdersView, order_json

# Orders of memory that are looked at together: a filter that few pass does not make one object after the other.
_BLOCK = 500
# Events of an order that are given, and pages of ClickHouse that one request asks for.
_EVENTS_MAX = 10_000
_ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are asked for; None for any.

    Times are those at which the door took the order, ns since 1970 UTC.
    """

    account: str
    symbol: str | None = None
    status: str | None = None
    strategy: str | None = None
    start_ns: int
    end_ns: int

    def passes(self, order: Json) -> bool:
        """Whether an order is one of those asked for; one that the platform made has its parent's times."""
        return (
            self.symbol in (None, order["symbol"])
            and self.status in (None, order["status"])
            and self.strategy in (None, order["strategy"])
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Orders, and where the next page begins."""

    orders: list[Json]
    cursor: str | None


def objects_of(topic: Topic, batch: pa.RecordBatch) -> list[Json]:
    """Rows as JSON objects: decimals are strings, times RFC 3339."""
    return [orjson.loads(line) for line in encode_lines(topic, batch).splitlines()]


async def find_order(state: ApiState, order_id: str) -> Json | None:
    """How an order stands, with events and executions; None where there is none."""
    found = await asyncio.to_thread(state.part(Hub).orders.order, order_id)
    if found is not None:
        return found
    first = await state.part(OrderGateway).first_command(order_id)
    if first is not None:
        # Acknowledged a moment ago, and not yet read back.
        return {**order_json(objects_of(ORDERS, first)[0], None), "events": [], "executions": []}
    return await _landed(state, order_id)


async def whose(state: ApiState, order_id: str) -> tuple[str, str] | None:
    """Account and client order id of an order; None where there is none."""
    owner = await asyncio.to_thread(state.part(Hub).orders.account_of, order_id)
    if owner is not None:
        return owner[:2]
    first = await state.part(OrderGateway).first_command(order_id)
    if first is not None:
        return first.column("account")[0].as_py(), first.column("client_order_id")[0].as_py()
    found = await _landed(state, order_id)
    return None if found is None else (found["account"], found["client_order_id"])


async def landed_command(state: ApiState, order_id: str) -> pa.RecordBatch | None:
    """The command that made an order, one row, as ClickHouse has it; None where it has not."""
    found = await state.part(History).ask("order_command", order_id=order_id)
    return rows_of(ORDERS, found) if found.num_rows else None


async def orders_page(
    state: ApiState, asked: OrderFilter, *, cursor: str | None, limit: int
) -> Page:
    """Orders of an account, newest first.

    Parameters
    ----------
    state : ApiState
        Of the application.
    asked : OrderFilter
        Which.
    cursor : str or None
        Of the page before.
    limit : int
        Orders of the page.

    Raises
    ------
    ApiError
        422 for a cursor that is no order of the account.
    """
    hub = state.part(Hub)
    kept = None if cursor is None else hub.orders.account_of(cursor)
    if cursor is not None:
        await _check_cursor(state, asked.account, cursor, kept)
    found = await asyncio.to_thread(_in_memory, hub.orders, asked, cursor, limit)
    if len(found) < limit and not _is_whole(state):
        behind = "" if cursor is None or kept is not None else cursor
        found += await _older(state, asked, behind, limit - len(found))
    return Page(found, found[-1]["order_id"] if len(found) == limit else None)


async def _check_cursor(
    state: ApiState, account: str, cursor: str, kept: tuple[str, str, str] | None
) -> None:
    """Refuse what is no order of the account; ``kept`` is what memory has of it."""
    owner = None if kept is None else kept[0]
    if kept is None and not _is_whole(state):
        landed = await landed_command(state, cursor)
        owner = None if landed is None else landed.column("account")[0].as_py()
    if owner != account:
        raise unknown_cursor()


def _is_whole(state: ApiState) -> bool:
    """Whether memory has every order: there is nothing to ask ClickHouse for."""
    hub = state.part(Hub)
    return hub.is_whole(ORDERS) and hub.orders.is_whole


def _in_memory(view: OrdersView, asked: OrderFilter, cursor: str | None, limit: int) -> list[Json]:
    found: list[Json] = []
    only_open = asked.status is not None and asked.status not in ENDED
    for block in view.newest_first(asked.account, cursor, _BLOCK, only_open=only_open):
        found += [one for one in block if asked.passes(one) and _within(one, asked)]
        if len(found) >= limit:
            break
    return found[:limit]


def _within(order: Json, asked: OrderFilter) -> bool:
    received = order.get("ts_received")
    if received is None:
        return True
    time = pa.scalar(received).cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).as_py()
    return bool(asked.start_ns <= time < asked.end_ns)


async def _older(state: ApiState, asked: OrderFilter, behind: str, limit: int) -> list[Json]:
    """Orders that memory does not hold any more."""
    history = state.part(History)
    # No partition is -1: nothing is bounded while memory holds nothing.
    kept = state.part(Hub).orders.offsets() or {-1: 0}
    found: list[Json] = []
    for _ in range(_ROUNDS_MAX):
        page = await history.ask(
            "orders_before",
            account=asked.account,
            symbol=asked.symbol or "",
            strategy=asked.strategy or "",
            start=asked.start_ns,
            end=asked.end_ns,
            partitions=list(kept),
            offsets=list(kept.values()),
            behind=behind,
            limit=limit,
        )
        shaped = [one async for one in _standing(history, asked.account, rows_of(ORDERS, page))]
        found += [one for one in shaped if asked.passes(one)]
        if len(found) >= limit or page.num_rows < limit:
            break
        behind = shaped[-1]["order_id"]
    return found[:limit]


async def _standing(
    history: History, account: str, commands: pa.RecordBatch
) -> AsyncIterator[Json]:
    if commands.num_rows == 0:
        return
    events = await history.ask(
        "newest_order_events",
        account=account,
        order_ids=commands.column("order_id").to_pylist(),
    )
    newest = {
        one["order_id"]: one for one in objects_of(ORDER_EVENTS, rows_of(ORDER_EVENTS, events))
    }
    for command in objects_of(ORDERS, commands):
        yield order_json(command, newest.get(command["order_id"]))


async def _landed(state: ApiState, order_id: str) -> Json | None:
    """An order that memory does not know, as ClickHouse has it."""
    if _is_whole(state):
        return None
    history = state.part(History)
    first = await landed_command(state, order_id)
    commands = [] if first is None else objects_of(ORDERS, first)
    told = await history.ask("order_events", order_id=order_id, limit=_EVENTS_MAX)
    events = objects_of(ORDER_EVENTS, rows_of(ORDER_EVENTS, told))
    standing = [event for event in events if event["status"] != UNKNOWN]
    if not commands and not standing:
        return None
    filled = await history.ask("order_executions", order_id=order_id, limit=_EVENTS_MAX)
    return {
        **order_json(next(iter(commands), None), standing[-1] if standing else None),
        "events": events,
        "executions": objects_of(EXECUTIONS, rows_of(EXECUTIONS, filled)),
    }
