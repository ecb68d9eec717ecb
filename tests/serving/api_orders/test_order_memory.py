"""Orders of which memory has let go of a part: what is told of them is what landed, joined with what is here."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.clickhouse import connect, create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Log
from connectors.records import decode_rows
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic
from serving.api import order_pages, positions
from serving.hub.hub import Hub
from tests.serving.api.apps import running
from tests.serving.api_orders.derived_rows import Api, event, execution, late_answer
from tests.serving.api_orders.test_order_history import batch_of, listing
from tests.serving.ordering import order

_ORDERS = 30
_STEPS = (("accepted", "0"), ("working", "0"), ("partially_filled", "50"), ("filled", "100"))
_LIST = "/v1/orders?account=A1"


def run(home: Path, store: str, work: Callable[[Api], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        async with running(home, store=store, partitions=1) as (app, client):
            await work(Api(app, client))

    asyncio.run(all_of_it())


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each topic of orders about 40 rows are kept, in place of 200,000."""
    monkeypatch.setitem(Hub.__init__.__kwdefaults__, "rows_max", 40)


async def placed(api: Api, names: range, **fields: Any) -> list[str]:
    given = [order(f"o{name}", **fields) for name in names]
    answers = [await api.client.post("/v1/orders", json=one) for one in given]
    ids = [answer.json()["order_id"] for answer in answers]
    feed = api.hub._feeds[ORDERS.name]
    while feed.positions[0] < api.log.end(ORDERS.name, 0):
        await feed.moved()
    return ids


async def fill(api: Api, ids: list[str]) -> None:
    """Each is accepted, routed and filled in two halves."""
    rows = [
        event(name, 4 * at + step, status, filled_quantity=filled)
        for at, name in enumerate(ids)
        for step, (status, filled) in enumerate(_STEPS, start=1)
    ]
    await api.append(ORDER_EVENTS, *rows)
    halves = {"quantity": "50"}
    executions = [execution(name, number, **halves) for number, name in enumerate(ids + ids)]
    await api.append(EXECUTIONS, *executions)


async def landed(api: Api, store: str, orders_from: int = 0) -> None:
    """All that is in the log is in ClickHouse: of a second call, the orders from an offset on."""
    topics = (ORDERS,) if orders_from else (ORDERS, ORDER_EVENTS, EXECUTIONS)
    await asyncio.to_thread(land, api.log, store, topics, orders_from)


def land(log: Log, store: str, topics: tuple[Topic, ...], first: int) -> None:
    with connect(store) as client:
        create_tables(client)
        for topic in topics:
            records = log.read(topic.name, 0, first).records
            rows = [Decoded(record, decode_rows(topic, record)) for record in records]
            insert(client, topic, landed_table(topic, rows), f"{topic.name} {first}")


async def filled_and_landed(api: Api, store: str) -> list[str]:
    """Orders of which memory has dropped most, and ClickHouse has all."""
    ids = await placed(api, range(_ORDERS))
    await fill(api, ids)
    await landed(api, store)
    return ids


async def check_filled(client: httpx.AsyncClient, ids: list[str]) -> None:
    for name in ids:
        found = (await client.get(f"/v1/orders/{name}")).json()
        assert (found["status"], found["filled_quantity"]) == ("filled", "100.0000000000")
        assert [one["event"] for one in found["events"]] == [
            "accepted",
            "routed",
            "partially_filled",
            "filled",
        ]
        assert len(found["executions"]) == 2
    for query, wanted in (("", ids[::-1]), ("&status=filled", ids[::-1]), ("&status=received", [])):
        assert await listing(client, f"{_LIST}{query}", "orders", "order_id") == wanted


@pytest.mark.usefixtures("small_memory")
def test_an_order_whose_events_memory_has_dropped_is_not_told_as_unheard_of(
    tmp_path: Path, store_url: str
) -> None:
    """Orders have several events each: a filled order was `received` with nothing filled, until its command went too."""

    async def work(api: Api) -> None:
        ids = await filled_and_landed(api, store_url)
        await check_filled(api.client, ids)
        remembered = api.hub.orders.order(ids[0])
        assert remembered is not None
        assert remembered["status"] == "received"
        # Their commands go as well: the door knows them for longer than the view. How many more it takes depends on how
        # many come at once.
        more: list[str] = []
        while api.hub.orders.order(ids[0]) is not None:
            known = len(ids) + len(more)
            more += await placed(api, range(known, known + _ORDERS))
        await landed(api, store_url, _ORDERS)
        assert (await api.client.get(f"/v1/orders/{ids[0]}")).json()["status"] == "filled"
        listed = await listing(api.client, _LIST, "orders", "order_id")
        assert listed == [*more[::-1], *ids[::-1]]

    run(tmp_path / "home", store_url, work)


@pytest.mark.usefixtures("small_memory")
def test_an_order_of_which_memory_has_a_late_answer_alone_stands_as_clickhouse_says(
    tmp_path: Path, store_url: str
) -> None:
    """The answer was its newest event: a filled order had no side, and nothing of it was filled."""

    async def work(api: Api) -> None:
        ids = await filled_and_landed(api, store_url)
        answers = [late_answer(ids[0], 4 * _ORDERS + at, "filled") for at in (1, 2)]
        await api.append(ORDER_EVENTS, *answers)
        found = (await api.client.get(f"/v1/orders/{ids[0]}")).json()
        assert (found["side"], found["filled_quantity"]) == ("buy", "100.0000000000")
        assert [one["event"] for one in found["events"][-3:]] == [
            "filled",
            "cancel_rejected",
            "cancel_rejected",
        ]
        listed = (await api.client.get(f"{_LIST}&status=filled&limit=100")).json()["orders"]
        assert {one["filled_quantity"] for one in listed} == {"100.0000000000"}
        assert len(listed) == _ORDERS

    run(tmp_path / "home", store_url, work)


@pytest.mark.usefixtures("small_memory")
def test_a_start_that_reads_more_commands_than_events_tells_how_orders_stand(
    tmp_path: Path, store_url: str
) -> None:
    ids: list[str] = []

    async def before(api: Api) -> None:
        ids.extend(await filled_and_landed(api, store_url))

    async def after(api: Api) -> None:
        await check_filled(api.client, ids)
        (new,) = await placed(api, range(_ORDERS, _ORDERS + 1))
        assert (await api.client.get(f"/v1/orders/{new}")).json()["status"] == "received"

    run(tmp_path / "home", store_url, before)
    run(tmp_path / "home", store_url, after)


@pytest.mark.usefixtures("small_memory")
def test_an_old_order_of_which_something_new_is_heard_is_listed_once_in_its_place(
    tmp_path: Path, store_url: str
) -> None:
    """It was listed among the newest, by its event, and again where its command had landed."""

    async def work(api: Api) -> None:
        ids = await placed(api, range(3 * _ORDERS))
        await api.append(ORDER_EVENTS, event(ids[0], 1, "accepted"))
        await landed(api, store_url)
        await api.append(ORDER_EVENTS, event(ids[0], 2, "cancelled"))
        assert await listing(api.client, _LIST, "orders", "order_id") == ids[::-1]
        one = (await api.client.get(f"{_LIST}&status=cancelled")).json()["orders"]
        assert [found["order_id"] for found in one] == ids[:1]

    run(tmp_path / "home", store_url, work)


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("entry_is_kept", [True, False])
def test_exits_that_memory_has_dropped_are_listed_with_their_entry(
    tmp_path: Path, store_url: str, *, entry_is_kept: bool
) -> None:
    """Nobody commanded them: where their events were dropped, an exit that still works was in no list."""
    terms = {"order_class": "bracket", "take_profit_price": "160", "stop_loss_price": "140"}

    async def work(api: Api) -> None:
        view = api.hub.orders
        ids = await placed(api, range(3))
        (entry,) = await placed(api, range(3, 4), **terms)
        exits = [f"{entry}-{name}" for name in ("tp", "sl")]
        await api.append(
            ORDER_EVENTS,
            event(entry, 1, "filled"),
            *(event(one, at, "working", parent_order_id=entry) for at, one in enumerate(exits, 2)),
        )
        sequence = 10
        while view.standings(exits):
            sequence += 10
            heard = [event(ids[0], sequence + at, "working") for at in range(10)]
            await api.append(ORDER_EVENTS, *heard)
        ids += [entry, *exits[::-1]]
        if not entry_is_kept:
            while view.order(entry) is not None:
                ids += await placed(api, range(len(ids), len(ids) + _ORDERS))
        await landed(api, store_url)
        assert (view.order(entry) is not None) is entry_is_kept
        assert await listing(api.client, _LIST, "orders", "order_id") == ids[::-1]
        for limit in (1, 100):
            path, found, cursor = f"{_LIST}&status=working&limit={limit}", [], ""
            while cursor is not None:
                page = (await api.client.get(f"{path}{cursor and f'&cursor={cursor}'}")).json()
                found += [one["order_id"] for one in page["orders"]]
                cursor = page["cursor"]
            assert found == [*exits, ids[0]]
        asked = await api.client.get("/v1/orders?account=A2&cursor=" + exits[0])
        assert asked.status_code in {403, 422}

    run(tmp_path / "home", store_url, work)


@pytest.mark.usefixtures("small_memory")
def test_a_list_that_few_pass_goes_on_behind_a_page_that_is_not_full(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended after ten rounds, as if nothing came behind: open orders were left out."""
    monkeypatch.setattr(order_pages, "_ROUNDS_MAX", 2)
    monkeypatch.setattr(order_pages, "_BLOCK", 10)

    async def work(api: Api) -> None:
        ids = await placed(api, range(3 * _ORDERS))
        await api.append(ORDER_EVENTS, *(event(ids[at], at + 1, "cancelled") for at in (0, 40)))
        await landed(api, store_url)
        path, found, cursor = f"{_LIST}&status=cancelled&limit=10", [], ""
        while cursor is not None:
            page = (await api.client.get(f"{path}{cursor and f'&cursor={cursor}'}")).json()
            found += [one["order_id"] for one in page["orders"]]
            cursor = page["cursor"]
        assert found == [ids[40], ids[0]]

    run(tmp_path / "home", store_url, work)


@pytest.mark.usefixtures("small_memory")
def test_executions_that_memory_drops_while_they_are_listed_are_not_left_out(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, more = positions._executions_in_memory, list(range(100, 160))

    async def work(api: Api) -> None:
        rows = [execution("o", number) for number in range(40)]
        await api.append(EXECUTIONS, *rows)
        await landed(api, store_url)

        def raced(*asked: Any) -> Any:
            for number in more:
                made = batch_of(EXECUTIONS, execution("o", number))
                api.hub.orders.append(EXECUTIONS, 0, [number], [made])
            more.clear()
            return real(*asked)

        monkeypatch.setattr(positions, "_executions_in_memory", raced)
        page = (await api.client.get("/v1/executions?account=A1&limit=1000")).json()
        found = [one["execution_id"] for one in page["executions"]]
        assert len(set(found)) == len(found)
        assert {one["execution_id"] for one in rows} <= set(found)

    run(tmp_path / "home", store_url, work)
