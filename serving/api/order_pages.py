"""Orders that are asked for: from memory, and what is older from ClickHouse."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal

import orjson
import pyarrow as pa

from flows.orders.states import ACCEPTED, ENDED, REJECTED
from schemas.json_codec import encode_lines
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic
from serving.api.cursors import unknown_cursor
from serving.api.state import ApiState
from serving.gateway.gateway import OrderGateway
from serving.hub.hub import Hub
from serving.latest.history import History, rows_of
from serving.latest.orders_view import (
    FOLLOWED,
    Json,
    OrdersView,
    order_json,
    says_standing,
    standing_after,
)

OPEN = "open"
_RECEIVED = "received"
# One of these is an order's first; where it is not here, older ones are not either.
_FIRST_EVENTS = (ACCEPTED, REJECTED)
# Orders of memory that are looked at together: a filter that few pass does not make one object after the other.
_BLOCK = 500
# Events of an order that are given, and pages of ClickHouse that one request asks for.
_EVENTS_MAX = 10_000
_ROUNDS_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are asked for; None for any, and status `OPEN` for whatever has not ended.

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
            and (self.status in (None, order["status"]) or self._is_open(order))
            and self.strategy in (None, order["strategy"])
        )

    def _is_open(self, order: Json) -> bool:
        return self.status == OPEN and order["status"] not in ENDED


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
    hub, gateway = state.part(Hub), state.part(OrderGateway)
    place = gateway.first_place(order_id)
    was_read = place is not None and hub.has_read(ORDERS, place.partition, place.offset)
    found = await asyncio.to_thread(hub.orders.order, order_id)
    if found is not None and (_is_whole(state) or _has_all(state, found)):
        return found
    landed = await _landed(state, order_id) if found is not None or was_read else None
    if found is not None:
        return _joined(found, landed)
    if landed is not None:
        return landed
    first = await gateway.first_command(order_id)
    if first is None:
        return await _landed(state, order_id)
    # Acknowledged a moment ago, and not yet read back.
    return {**order_json(objects_of(ORDERS, first)[0], None), "events": [], "executions": []}


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
    start = _Start() if cursor is None else await _start(state, asked.account, cursor)
    found: list[Json] = []
    behind, rounds = cursor, 0
    async for block, is_stored in _newest_first(state, asked, start, limit=limit):
        for one in block:
            behind = one["order_id"]
            if asked.passes(one) and _within(one, asked):
                found.append(one)
                if len(found) == limit:
                    return Page(found, behind)
        rounds += is_stored
        if rounds == _ROUNDS_MAX:
            # Few pass: what lies behind may have more, and whoever asks for it goes on from here.
            return Page(found, behind)
    return Page(found, None)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a page begins: behind an order, or one of its exits that only ClickHouse has; whether memory lists the order."""

    order_id: str | None = None
    in_memory: bool = True
    exit_id: str | None = None


async def _start(state: ApiState, account: str, cursor: str) -> _Start:
    """Refuses what is no order of the account."""
    kept = (await asyncio.to_thread(state.part(Hub).orders.standings, [cursor])).get(cursor)
    if kept is not None and _is_listed(state, kept):
        if kept["account"] == account:
            return _Start(cursor)
    elif not _is_whole(state):
        landed = await landed_command(state, cursor)
        if landed is None:
            told = (await _newest_events(state.part(History), account, [cursor])).get(cursor, {})
            if told.get("parent_order_id") is not None:
                return replace(
                    await _start(state, account, told["parent_order_id"]), exit_id=cursor
                )
        elif landed.column("account")[0].as_py() == account:
            return _Start(cursor, in_memory=False)
    raise unknown_cursor()


def _is_whole(state: ApiState) -> bool:
    """Whether memory has all of every order: there is nothing to ask ClickHouse for."""
    hub = state.part(Hub)
    return (
        all(hub.is_whole(topic) for topic in FOLLOWED)
        and hub.orders.is_whole
        and hub.orders.executions().first == 0
    )


def _is_listed(state: ApiState, order: Json) -> bool:
    """Whether memory lists an order: not one whose command is older, which is listed where that has landed."""
    is_made = order["ts_received"] is not None or order["parent_order_id"] is not None
    return is_made or _is_whole(state)


def _has_all(state: ApiState, order: Json) -> bool:
    """Whether memory has all events and executions of an order of which it knows."""
    events, filled = order["events"], order["filled_quantity"]
    if not events:
        return state.part(Hub).orders.is_told(order["order_id"])
    traded = sum(Decimal(one["quantity"]) for one in order["executions"])
    return events[0]["event"] in _FIRST_EVENTS and traded == Decimal(filled)


def _joined(kept: Json, landed: Json | None) -> Json:
    """An order as memory and ClickHouse have it together: memory what is new, ClickHouse what is old."""
    if landed is None:
        return kept
    names = {"events": "sequence", "executions": "execution_id"}
    lists = {
        name: list({one[key]: one for one in (*landed[name], *kept[name])}.values())
        for name, key in names.items()
    }
    order = landed if kept["ts_received"] is None else kept
    standing = [event for event in lists["events"] if says_standing(event)]
    return {**(standing_after(order, standing[-1]) if standing else order), **lists}


async def _newest_first(
    state: ApiState, asked: OrderFilter, start: _Start, *, limit: int
) -> AsyncIterator[tuple[list[Json], bool]]:
    """Orders of an account in blocks, newest first, and whether ClickHouse was asked for a block."""
    view, history = state.part(Hub).orders, state.part(History)
    given: set[str] = set()
    if start.exit_id is not None and start.order_id is not None:
        exits = await _exits(view, history, asked.account, [start.order_id])
        behind_it = [
            one for one in exits.get(start.order_id, ()) if one["order_id"] < start.exit_id
        ]
        yield behind_it, True
    if start.in_memory:
        only_open = asked.status is not None and asked.status not in ENDED
        blocks = view.newest_first(
            asked.account,
            start.order_id,
            _BLOCK,
            only_open=only_open,
            and_parents=not _is_whole(state),
        )
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            listed = [one for one in block if _is_listed(state, one)]
            given.update(one["order_id"] for one in listed)
            untold = [
                one["order_id"]
                for one in listed
                if one["status"] == _RECEIVED and not view.is_told(one["order_id"])
            ]
            newest = await _newest_events(history, asked.account, untold) if untold else {}
            parents = [] if _is_whole(state) else _with_exits(listed)
            exits = await _exits(view, history, asked.account, parents)
            told = [
                standing_after(one, newest[one["order_id"]]) if one["order_id"] in newest else one
                for one in listed
            ]
            yield _among(told, exits), bool(untold or parents)
    if _is_whole(state):
        return
    # No partition is -1: nothing is bounded while memory holds nothing.
    kept = view.offsets() or {-1: 0}
    behind = "" if start.in_memory or start.order_id is None else start.order_id
    size = limit if asked.status is None else max(limit, _BLOCK)
    while True:
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
            limit=size,
        )
        stored = await _stored(view, history, asked.account, rows_of(ORDERS, page))
        # What memory let go of meanwhile was given from there.
        fresh = [one for one in stored if one["order_id"] not in given]
        exits = await _exits(view, history, asked.account, _with_exits(fresh))
        yield _among(fresh, exits), True
        if page.num_rows < size:
            return
        behind = stored[-1]["order_id"]


async def _stored(
    view: OrdersView, history: History, account: str, commands: pa.RecordBatch
) -> list[Json]:
    """Orders that have landed, as they stand: by memory, where it has newer events."""
    if commands.num_rows == 0:
        return []
    order_ids = commands.column("order_id").to_pylist()
    newest = await _newest_events(history, account, order_ids)
    newest |= await asyncio.to_thread(view.standings, order_ids)
    return [
        standing_after(order_json(command, None), newest[command["order_id"]])
        if command["order_id"] in newest
        else order_json(command, None)
        for command in objects_of(ORDERS, commands)
    ]


def _with_exits(orders: list[Json]) -> list[str]:
    """Those that have exits, which are orders that nobody commanded."""
    return [one["order_id"] for one in orders if one["order_class"] not in (None, "simple")]


async def _exits(
    view: OrdersView, history: History, account: str, order_ids: list[str]
) -> dict[str, list[Json]]:
    """Exits that memory does not list any more, by the order that they are of."""
    if not order_ids:
        return {}
    found = await history.ask("exits_of_orders", account=account, order_ids=order_ids)
    events = {
        one["order_id"]: one for one in objects_of(ORDER_EVENTS, rows_of(ORDER_EVENTS, found))
    }
    kept = await asyncio.to_thread(view.standings, list(events))
    exits: dict[str, list[Json]] = {}
    for order_id in sorted(events.keys() - kept.keys(), reverse=True):
        one = order_json(None, events[order_id])
        exits.setdefault(one["parent_order_id"], []).append(one)
    return exits


def _among(orders: list[Json], exits: dict[str, list[Json]]) -> list[Json]:
    """Orders, newest first, each behind its exits."""
    return [each for one in orders for each in (*exits.get(one["order_id"], ()), one)]


async def _newest_events(history: History, account: str, order_ids: list[str]) -> dict[str, Json]:
    found = await history.ask("newest_order_events", account=account, order_ids=order_ids)
    events = objects_of(ORDER_EVENTS, rows_of(ORDER_EVENTS, found))
    return {one["order_id"]: one for one in events}


def _within(order: Json, asked: OrderFilter) -> bool:
    received = order.get("ts_received")
    if received is None:
        return True
    time = pa.scalar(received).cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).as_py()
    return bool(asked.start_ns <= time < asked.end_ns)


async def _landed(state: ApiState, order_id: str) -> Json | None:
    """An order that memory does not know, as ClickHouse has it."""
    if _is_whole(state):
        return None
    history = state.part(History)
    first = await landed_command(state, order_id)
    commands = [] if first is None else objects_of(ORDERS, first)
    told = await history.ask("order_events", order_id=order_id, limit=_EVENTS_MAX)
    events = objects_of(ORDER_EVENTS, rows_of(ORDER_EVENTS, told))
    standing = [event for event in events if says_standing(event)]
    if not commands and not standing:
        return None
    filled = await history.ask("order_executions", order_id=order_id, limit=_EVENTS_MAX)
    return {
        **order_json(next(iter(commands), None), standing[-1] if standing else None),
        "events": events,
        "executions": objects_of(EXECUTIONS, rows_of(EXECUTIONS, filled)),
    }
