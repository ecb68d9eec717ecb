"""Flows that read each other, as orders and their execution do: none waits for the other for ever."""

from collections.abc import Callable
from decimal import Decimal
from threading import Event
from typing import Any

import pytest

from connectors.log import Log
from connectors.records import decode_rows, is_rows, rows_record
from connectors.scan import scan_records
from connectors.topics import create_topics
from flows.catalog import catalog
from flows.engines.bytewax import _Desk, _Run, _Step, run_kinds
from flows.engines.local import cycles, in_order, run_until_end
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.execution import Execution
from flows.flow import Flow
from flows.marks import Marks
from flows.oms import Oms
from flows.positions import Positions
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from schemas.market import QUOTES
from schemas.order_ids import order_id_of
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic

# 15:00 in New York on a Wednesday.
NOW_NS = 1_381_345_200 * 10**9
TIMES = {"ts_event": NOW_NS, "ts_recv": NOW_NS}
QUOTE = {"venue": "N", "bid": 49.0, "bid_size": 500.0, "ask": 49.01, "ask_size": 500.0}


def _append(log: Log, topic: Topic, **row: Any) -> None:
    columns = {field.name: [row.get(field.name, field.default)] for field in topic.fields}
    log.append([rows_record(topic, 0, topic.batch(columns))])


def _events(log: Log) -> list[str]:
    return [
        event
        for record in scan_records(log, ORDER_EVENTS.name, 0)
        if is_rows(record)
        for event in decode_rows(ORDER_EVENTS, record).column("event").to_pylist()
    ]


def test_every_flow_comes_once_and_behind_those_that_it_reads_one_way() -> None:
    kinds = list(catalog().values())
    names = [kind.name for kind in in_order(kinds)]
    assert sorted(names) == sorted(kind.name for kind in kinds)
    for upstream, downstream in (
        ("bars", "indicators"),
        ("marks", "oms"),
        ("execution", "positions"),
    ):
        assert names.index(upstream) < names.index(downstream)
    assert names == [kind.name for kind in in_order(kinds)]


def _open_market(log: Log) -> None:
    """An account with money, and a quote of a listed symbol."""
    create_topics(log, 1)
    listed = {"ts_event": NOW_NS - 86_400 * 10**9, "currency": "USD", "tick_size": 0.01}
    _append(log, INSTRUMENTS, symbol="AIG", **listed)
    _append(log, ACCOUNTS, account="A", type="margin", user="u", **TIMES)
    _append(
        log,
        CASH_MOVEMENTS,
        account="A",
        movement_id="1",
        kind="deposit",
        amount=Decimal(100_000),
        currency="USD",
        **TIMES,
    )
    _append(log, QUOTES, symbol="AIG", **QUOTE, **TIMES)


def _order(log: Log, **row: Any) -> None:
    """Buy a hundred at the market."""
    _append(
        log,
        ORDERS,
        account="A",
        command="new",
        order_id=order_id_of("A", "1"),
        client_order_id="1",
        symbol="AIG",
        side="buy",
        quantity=Decimal(100),
        order_type="market",
        time_in_force="day",
        user="u",
        **row,
        **TIMES,
    )


def _on_bytewax(workers: int) -> Callable[[Log, list[type[Flow]]], None]:
    def run(log: Log, kinds: list[type[Flow]]) -> None:
        run_kinds(log, kinds, workers=workers, until_end=True)

    return run


@pytest.mark.parametrize("run", [run_until_end, _on_bytewax(1), _on_bytewax(3)])
def test_an_order_is_filled_in_one_run_to_the_end(
    sqlite_log: Log, run: Callable[[Log, list[type[Flow]]], Any]
) -> None:
    _open_market(sqlite_log)
    kinds: list[type[Flow]] = [Execution, Oms, Positions, Marks]
    run(sqlite_log, kinds)
    _order(sqlite_log)
    # Time goes on, so that the order reaches its venue and is filled there.
    for second in range(4):
        later = {"ts_event": NOW_NS + second * 10**9, "ts_recv": NOW_NS}
        _append(sqlite_log, QUOTES, symbol="AIG", **QUOTE, **later)
        run(sqlite_log, kinds)
    assert _events(sqlite_log)[-1] == "filled"


def test_the_only_worker_fills_an_order_in_the_turn_that_takes_it_in(sqlite_log: Log) -> None:
    """A round of Bytewax between the two flows would take as long as one of them."""
    _open_market(sqlite_log)
    kinds: list[type[Flow]] = [Marks, Oms, Execution]
    desks = {}
    for kind in kinds:
        prepare(sqlite_log, kind)
        shard = Shard(sqlite_log, kind, kind.params_type(), 0, ShardOptions())
        shard.open()
        desks[kind.name] = _Desk(shard=shard, opened=True)
    this = _Run(
        log=sqlite_log,
        kinds=kinds,
        desks=desks,
        workers=1,
        until_end=False,
        stop=Event(),
        cycles=cycles(kinds),
    )
    turn = _Step(this)
    for name in desks:
        turn.on_batch([name])
    # This venue is at hand: it fills at once.
    _order(sqlite_log, venue="PAPER")
    turn.on_batch([Oms.name])
    assert sqlite_log.end(EXECUTIONS.name, 0) == 1
    for desk in desks.values():
        desk.shard.close()
