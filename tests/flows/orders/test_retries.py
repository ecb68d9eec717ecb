"""A client order id is accepted once: what a retry is, and what another order; the door says the same."""

from typing import Any

import pytest

from flows.execution import Execution
from flows.oms import Oms, OmsParams
from flows.orders import order
from flows.orders.commands import Command, words
from flows.snapshot import SnapshotError, pack, unpack
from schemas.accounts import ACCOUNTS
from schemas.orders import ORDERS
from schemas.sessions import DAY_NS
from serving.gateway.order_rows import DOOR_FIELDS
from serving.gateway.order_rows import said as said_at_door
from tests.flows.orders.order_system import (
    ENTRY_NS,
    MARKET_NS,
    NEW,
    OrderSystem,
    batch_of,
    refusal,
    said,
)


def test_a_client_order_id_is_accepted_once_and_a_retry_says_nothing() -> None:
    desk = OrderSystem()
    desk.new()
    assert desk.new() == []
    assert desk.new(ts_event=ENTRY_NS + 1, correlation_id="retry") == []
    desk.fill("100")
    assert desk.new() == []
    assert len(desk.instructions) == 1


def test_the_first_answer_stands_for_a_rejected_order_too() -> None:
    desk = OrderSystem(halted=True)
    assert said(desk.new()) == [("rejected", "rejected")]
    desk.feed(ACCOUNTS, {"halted": False})
    assert desk.new() == []


def test_another_order_under_a_used_identifier_is_refused_and_changes_nothing() -> None:
    desk = OrderSystem()
    desk.new()
    events = desk.new(quantity="200")
    assert said(events) == [("rejected", "accepted")]
    assert refusal(events) == ("client_order_id", "given to no other order", "c1")
    assert events[0]["quantity"] == 100
    assert len(desk.instructions) == 1


_OTHER_WORDS: dict[str, Any] = {
    "symbol": "IBM",
    "side": "sell",
    "quantity": "101",
    "order_type": "market",
    "limit_price": "49",
    "stop_price": "48",
    "trail_amount": "1",
    "trail_percent": "1",
    "peg": "mid",
    "peg_offset": "-1",
    "display_quantity": "10",
    "time_in_force": "gtc",
    "ts_expire": MARKET_NS + DAY_NS,
    "order_class": "bracket",
    "take_profit_price": "60",
    "stop_loss_price": "40",
    "stop_loss_limit_price": "39",
    "algorithm": "twap",
    "algorithm_params": "{}",
    "venue": "N",
    "strategy": "other",
    "locate_id": "L1",
    "lot_method": "lifo",
    "lots": "x",
}


@pytest.mark.parametrize("has_ended", [False, True])
@pytest.mark.parametrize("field", list(_OTHER_WORDS))
def test_a_retry_that_differs_in_any_word_is_another_order_as_at_the_door(
    field: str, *, has_ended: bool
) -> None:
    desk = OrderSystem()
    desk.flow = Oms(OmsParams(max_ended_whole=1), desk.flow.snapshot())
    desk.new()
    if has_ended:  # and only a check sum of its words is kept
        desk.new("c2")
        desk.report("expired")
        desk.report("expired", "c2")
    other = {field: _OTHER_WORDS[field]}
    assert refusal(desk.new(**other)) == ("client_order_id", "given to no other order", "c1")
    assert desk.new() == []
    first, second = (said_at_door(batch_of(ORDERS, [NEW | one])) for one in ({}, other))
    assert first != second


def test_words_of_a_retry_are_those_that_the_door_compares() -> None:
    names = ("account", "command", "order_id", "client_order_id")  # the same in any retry
    compared = [one.name for one in ORDERS.fields if one.name not in (*DOOR_FIELDS, *names)]
    assert list(words(Command(*Command._fields))) == compared
    assert sorted(compared) == sorted(_OTHER_WORDS)


def test_a_replacement_does_not_change_what_a_retry_says() -> None:
    desk = OrderSystem()
    desk.new()
    desk.replace(limit_price="49")
    desk.report("replaced", limit_price="49")
    desk.restart()
    assert desk.new() == []
    assert refusal(desk.new(limit_price="49"))[0] == "client_order_id"


@pytest.mark.parametrize(("kind", "layout"), [(Oms, 3), (Execution, 2)])
def test_a_snapshot_of_an_earlier_layout_is_refused_by_name(
    kind: type[Oms | Execution], layout: int
) -> None:
    params: Any = kind.params_type()
    state = kind(params, None).snapshot()
    head, arrays = unpack(state, kind.name, layout)
    told = (
        rf"a snapshot of \('{kind.name}', 1\) where one of \('{kind.name}', {layout}\) was needed"
    )
    with pytest.raises(SnapshotError, match=told):
        kind(params, pack(kind.name, 1, head, arrays))


def test_the_oldest_executions_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "EXECUTIONS_REMEMBERED", 3)
    known = order.KnownOrders(10, 10)
    assert [known.is_first(one) for one in "abcdab"] == [True] * 6
    again = order.KnownOrders(10, 10)
    again.restore([], known.saved())
    assert [again.is_first(one) for one in "dabec"] == [False] * 3 + [True] * 2
