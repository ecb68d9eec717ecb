"""The order system on a day of trading: the same bytes however rows are cut, and wherever it is stopped."""

from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.engines.segments import Segment
from flows.engines.stepper import Stepper
from flows.flow import InputRows
from flows.oms import Oms, OmsParams
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS
from schemas.instruments import INSTRUMENTS
from schemas.orders import EXECUTIONS, ORDER_REPORTS, ORDERS
from schemas.positions import MARKS
from schemas.topic import Topic
from tests.conformity.outputs import by_topic, same_bytes
from tests.flows.orders.order_system import ENTRY_NS, MARKET_NS, OrderSystem, Row, batch_of

_ACCOUNTS = ("A", "B", "C")
_SYMBOLS = ("AIG", "IBM", "SAP")
_DAY_NS = 86_400_000_000_000
_SMALL = OmsParams(max_orders=30, max_ended_whole=5, max_movements=4, max_recent=20)

Given = tuple[Topic, Row]


class Trading:
    """Makes commands at random, and answers the instructions that they cause as an execution could."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.desk = OrderSystem()
        self.desk.flow = Oms(_SMALL, None)
        self.given: list[Given] = []
        self.filled: dict[str, int] = {}
        self.now = MARKET_NS
        # Instructions that have been answered: actions cause some between commands.
        self.answered = 0

    def give(self, topic: Topic, row: Row) -> None:
        self.given.append((topic, row))
        self.desk.feed(topic, row)

    def pick(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def run(self, steps: int) -> list[Given]:
        for symbol in _SYMBOLS:
            self.give(INSTRUMENTS, {"symbol": symbol, "currency": self.pick("USD", "EUR")})
        for account in (*_ACCOUNTS, "*"):
            limits = {"max_position_quantity": "900", "max_orders_per_second": 2}
            more = {"duplicate_window_ms": 20, "easy_to_borrow": "AIG,IBM", "price_collar": "0.1"}
            self.give(ACCOUNTS, {"account": account} | limits | more)
        for at in range(steps):
            self.now += int(self.rng.integers(_DAY_NS // 250))
            self.step(at)
        return self.given

    def step(self, at: int) -> None:
        kind = self.rng.random()
        if kind < 0.2:
            bid = 50 + int(self.rng.integers(-100, 100)) / 100
            symbol = self.pick(*_SYMBOLS, "EURUSD")
            prices = {"bid": bid, "ask": bid + 0.02, "price": bid + 0.01}
            self.give(MARKS, {"symbol": symbol, "ts_event": self.now} | prices)
        elif kind < 0.3:
            amount = self.pick("100000", "-1000.37")
            movement = {"movement_id": f"m{at % 7}", "amount": amount}
            self.give(CASH_MOVEMENTS, {"account": self.pick(*_ACCOUNTS)} | movement)
        elif kind < 0.32:
            halted = bool(self.rng.random() < 0.3)
            self.give(ACCOUNTS, {"account": self.pick(*_ACCOUNTS, "*"), "halted": halted})
        elif kind < 0.34:
            self.give(CORPORATE_ACTIONS, self.action(at))
        else:
            before = self.answered
            self.give(ORDERS, self.command(at))
            self.answer(before)
            self.answered = len(self.desk.instructions)

    def action(self, at: int) -> Row:
        kind = self.pick("split", "dividend", "symbol_change", "spin_off")
        symbol, other = self.rng.permutation(_SYMBOLS)[:2].tolist()
        row = {"symbol": symbol, "action": kind, "action_id": f"a{at}", "amount": "0.1"}
        if kind in ("symbol_change", "spin_off"):
            row["new_symbol"] = other
        terms = {"numerator": self.pick("1", "3"), "denominator": "2", "cost_share": "0.3"}
        return row | terms | {"ts_event": self.now + int(self.rng.integers(-1, 3)) * _DAY_NS // 20}

    def command(self, at: int) -> Row:
        time = ENTRY_NS + at * 50_000_000
        base = {"account": self.pick(*_ACCOUNTS), "ts_event": time}
        base["client_order_id"] = f"c{max(at - self.pick(0, 0, 0, 0, 1, 2, 30), 0)}"
        kind = self.rng.random()
        if kind < 0.1:
            return base | {"command": "cancel"}
        if kind < 0.2:
            return base | {"command": "replace", "quantity": self.pick("50", "150", None)}
        if kind < 0.22:
            return base | {"command": "cancel_all"}
        side = self.pick("buy", "buy", "sell", "sell_short")
        terms = {
            "symbol": self.pick(*_SYMBOLS),
            "side": side,
            "quantity": self.pick("100", "200", "7"),
            "order_type": self.pick("limit", "market", "limit"),
            "time_in_force": "gtc",
        }
        if terms["order_type"] == "limit":
            terms["limit_price"] = self.pick("49.5", "50", "50.5")
        order_class = self.pick("simple", "simple", "bracket", "oco")
        if order_class != "simple":
            is_long = (side == "buy") == (order_class == "bracket")
            exits = ("60", "40") if is_long else ("40", "60")
            terms |= dict(zip(("take_profit_price", "stop_loss_price"), exits, strict=True))
        return base | terms | {"order_class": order_class}

    def answer(self, since: int) -> None:
        while since < len(self.desk.instructions):
            told = self.desk.instructions[since]
            since += 1
            named = {key: told[key] for key in ("account", "order_id", "symbol")}
            named |= {"ts_event": self.now}
            total, done = int(told["quantity"]), self.filled.get(told["order_id"], 0)
            report = named | {"quantity": total, "filled_quantity": done}
            if told["action"] == "cancel":
                self.give(ORDER_REPORTS, report | {"report": self.pick("cancelled", "expired")})
                continue
            if told["action"] == "replace":
                limit = {"limit_price": told["limit_price"], "stop_price": told["stop_price"]}
                self.give(ORDER_REPORTS, report | limit | {"report": "replaced"})
                continue
            part = self.pick(0, total, total // 2)
            fill = named | {"execution_id": f"e{since}", "price": self.pick("50", "50.01")}
            fill |= {"quantity": part, "side": told["side"], "currency": told["currency"]}
            steps: list[Given] = [(ORDER_REPORTS, report | {"report": "routed", "venue": "N"})]
            if part:
                self.filled[told["order_id"]] = part
                steps.append((EXECUTIONS, fill))
            if self.rng.random() < 0.3:
                steps.append(
                    (ORDER_REPORTS, report | {"report": "expired", "filled_quantity": part})
                )
            # The two topics are read in any order.
            for at in self.rng.permutation(len(steps)):
                self.give(*steps[at])


def _segments(given: list[Given], cut: int) -> list[Segment]:
    found = []
    for topic, run in groupby(given, key=lambda one: one[0]):
        rows = [row for _, row in run]
        place = next(at for at, one in enumerate(Oms.inputs) if one.topic is topic)
        for begin in range(0, len(rows), cut):
            batch = batch_of(topic, rows[begin : begin + cut])
            count = batch.num_rows
            own = InputRows(
                batch=batch,
                partition=0,
                offset=np.zeros(count, np.int64),
                row=np.arange(count, dtype=np.int32),
            )
            found.append(Segment(input=place, rows=own))
    return found


def _carried(given: list[Given], cut: int, stops: int | None = None) -> dict[str, pa.Table]:
    stepper = Stepper(Oms, _SMALL)
    outputs = []
    for at, one in enumerate(_segments(given, cut)):
        if stops is not None and at % stops == 0:
            state = stepper.snapshot()
            stepper = Stepper(Oms, _SMALL, state)
            assert stepper.snapshot() == state
        outputs += stepper.take(one)
    return by_topic(outputs)


# Days in which an action meets an open order, read in either way.
@pytest.mark.parametrize("seed", [1, 2])
def test_any_cut_and_any_stop_give_the_same_bytes(seed: int) -> None:
    given = Trading(seed).run(800)
    # An engine that has fallen behind reads what it can of each topic: longer runs of one than came at once.
    behind = [
        one
        for _, part in groupby(enumerate(given), lambda p: p[0] // 40)
        for one in _by_topic(part)
    ]
    for stream in (given, behind):
        whole = _carried(stream, 1_000)
        events = whole["order_events"]
        kinds = set(events.column("event").to_pylist())
        assert {"filled", "cancelled", "expired", "replaced", "rejected", "routed"} <= kinds
        assert any("split" in (one or "") for one in events.column("reason").to_pylist())
        assert {"max_orders", "rate_limit", "kill_switch"} <= set(
            events.column("check").to_pylist()
        )
        same_bytes(_carried(stream, 1), whole)
        same_bytes(_carried(stream, 7, stops=3), whole)


def _by_topic(part: Any) -> list[Given]:
    names = [one.topic.name for one in Oms.inputs]
    return sorted((given for _, given in part), key=lambda one: names.index(one[0].name))
