"""Orders by column in a snapshot: what is taken out is what was put in, and what version 2 of the layout had is read."""

import json
from typing import Any

import numpy as np
import pytest

from flows.oms import Oms, OmsParams
from flows.orders.blotter import Blotter
from flows.orders.order import STATE, Order
from flows.orders.order_columns import PackedOrders, columns_of, packed
from flows.snapshot import pack, unpack
from tests.flows.orders.order_system import OrderSystem

_BRACKET = {"order_class": "bracket", "take_profit_price": "60", "stop_loss_price": "40"}


def _busy() -> OrderSystem:
    """Orders of all kinds and in all states that differ in what is saved of them."""
    desk = OrderSystem()
    desk.new("plain")
    desk.new("replaced")
    desk.replace("replaced", limit_price="49", quantity="150")
    desk.report("replaced", "replaced", limit_price="49", quantity="150")
    desk.new("asked")
    desk.replace("asked", limit_price="48")
    desk.new("cancelling", correlation_id="request 7")
    desk.cancel("cancelling")
    desk.new("large", quantity="12345678901", limit_price="0.0000000001")
    desk.new("entry", **_BRACKET)
    desk.fill("40", "49.5", "entry")
    desk.fill("10", "55", "entry", exit="-tp", side="sell")
    desk.new("gone")
    desk.report("expired", "gone")
    return desk


def _layout_2(flow: Oms) -> bytes:
    """As the version before wrote it: each order a list, in JSON."""
    state = json.loads(unpack(flow.snapshot(), "oms", 3)[1]["state"].tobytes())
    del state["orders"]
    for name, values, _ in state["blotters"]:
        counts, account, _, known = values
        own = [_row(one) for one in flow._blotters[name].known.orders.values()]
        values[:] = counts, account, [own, *known]
    text = json.dumps(state, separators=(",", ":")).encode()
    return pack("oms", 2, {}, {"state": np.frombuffer(text, np.uint8)})


def _row(order: Order) -> list[Any]:
    asked = None if order.asked is order.terms else order.asked
    names = [name for name in STATE if name != "taken"]
    number, currency, parent, *rest = (getattr(order, name) for name in names)
    first = [order.holding.symbol, order.terms, order.order_id, number, currency, parent, asked]
    return [*first, *rest]


def test_a_snapshot_of_the_layout_before_is_read_as_if_it_were_of_this_one() -> None:
    flow = _busy().flow
    upgraded = Oms.upgraded(_layout_2(flow), 2)
    assert Oms(OmsParams(), upgraded).snapshot() == flow.snapshot()


def test_one_without_orders_is_read_too() -> None:
    flow = Oms(OmsParams(), None)
    upgraded = Oms.upgraded(_layout_2(flow), 2)
    assert Oms(OmsParams(), upgraded).snapshot() == flow.snapshot()
    assert Oms(OmsParams(), flow.snapshot()).snapshot() == flow.snapshot()


def test_orders_are_taken_out_account_by_account_as_they_were_put_in() -> None:
    blotter = _busy().flow._blotters["A"]
    orders = list(blotter.known.orders.values())
    described, arrays = packed(columns_of(orders))
    both = PackedOrders(described, arrays, len(orders))
    found = [*both.take(3, blotter.account.holdings), *both.take(99, blotter.account.holdings)]
    assert [_row(one) for one in found] == [_row(one) for one in orders]
    assert [one.holding for one in found] == [one.holding for one in orders]
    assert [one.asked is one.terms for one in found] == [one.asked is one.terms for one in orders]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**30])
def test_numbers_of_more_than_64_bits_stay_whole(value: int) -> None:
    blotter: Blotter = _busy().flow._blotters["A"]
    orders = list(blotter.known.orders.values())
    orders[1].cost = value
    described, arrays = packed(columns_of(orders))
    found = PackedOrders(described, arrays, len(orders)).take(99, blotter.account.holdings)
    assert [one.cost for one in found] == [one.cost for one in orders]
