"""The order system: what clients ask for passes the pre-trade checks, and what becomes of it is told.

A command that passes (`flows.orders.checks`) becomes an instruction to the execution of its symbol, whose reports
and fills lead the order through its states (`flows.orders.states`). Accounts, instruments and marks are known
to every shard; an account's cash, positions and open orders to the shard of its key, which keeps a conservative
book of its own: it waits for no other flow. Corporate actions are effective when market time reaches them
(`flows.orders.restatement`).

A client order id is accepted once: a retry in the same words changes nothing and is answered by the events that
there are. `OmsParams.max_orders` bounds what is remembered, and which orders are forgotten (see
`flows.orders.order.KnownOrders`). Market time is the running maximum of the times of marks, reports and fills.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from flows.columns import times_ns
from flows.flow import (
    Carried,
    Emit,
    Emitted,
    Flow,
    FlowError,
    Input,
    Order,
    Params,
    Rows,
    Watermarks,
)
from flows.orders import life, plain_desk
from flows.orders.account import Account
from flows.orders.answers import Outbox
from flows.orders.blotter import Blotter
from flows.orders.corporate_actions import OF_ACTION, Actions, Piece
from flows.orders.life import Execution, Report
from flows.orders.limits import limits_of, restored, saved
from flows.orders.market import Market
from flows.orders.order import KnownOrders
from flows.orders.order_columns import PackedOrders, columns_of, columns_of_rows, packed
from flows.orders.restatement import bounded, hold, pay, restate, restate_price
from flows.orders.rows import lists
from flows.snapshot import pack, unpack
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS, FIRM
from schemas.instruments import INSTRUMENTS
from schemas.orders import EXECUTIONS, INSTRUCTIONS, ORDER_EVENTS, ORDER_REPORTS, ORDERS
from schemas.positions import MARKS

_MOVEMENT = ("account", "movement_id", "amount", "currency")

# Of snapshots. 2: executions that were told, pairs of exits. 3: orders by column.
_LAYOUT = 3


class OmsParams(Params):
    """Parameters of `Oms`.

    Parameters
    ----------
    max_orders : int
        Orders of an account that are remembered. At so many, ended ones of earlier market days (UTC) are
        forgotten, the oldest day first; where there are none, new orders are rejected.
    max_ended_whole : int
        Ended orders of an account that are kept with all their terms, so that late answers can be told with them.
    max_movements : int
        Cash movements of an account whose identifiers are remembered; the oldest are forgotten first.
    max_recent : int
        Orders of an account that the rate limit counts, and that duplicates are looked for among; a limit
        beyond it is none, and the oldest are forgotten first.
    market_cushion_bps : int
        What a cash account must have above the best price for a purchase without a limit, in basis points of it.
        None unless asked for: the dry run of the API knows no parameters of flows, and must say the same.
    max_accounts, max_keys : int
        Bounds of the state; one more is an error.
    """

    max_orders: int = Field(default=1_000_000, ge=1)
    max_ended_whole: int = Field(default=1_000, ge=1)
    max_movements: int = Field(default=10_000, ge=1)
    max_recent: int = Field(default=100_000, ge=1)
    market_cushion_bps: int = Field(default=0, ge=0, le=10_000)
    max_accounts: int = Field(default=100_000, ge=1)
    max_keys: int = Field(default=100_000, ge=1)


class Oms(Flow):
    """Order management.

    Parameters
    ----------
    params : OmsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "oms"
    version = 1
    inputs = (
        Input(topic=ACCOUNTS, broadcast=True),
        Input(topic=INSTRUMENTS, broadcast=True),
        Input(topic=MARKS, broadcast=True),
        Input(topic=CORPORATE_ACTIONS, broadcast=True),
        Input(topic=CASH_MOVEMENTS),
        Input(topic=ORDERS),
        # Before fills, so that most orders are told as routed before they are filled.
        Input(topic=ORDER_REPORTS),
        Input(topic=EXECUTIONS),
    )
    outputs = (ORDER_EVENTS, INSTRUCTIONS)
    order = Order.ARRIVAL
    params_type = OmsParams
    carried = Carried(layout=_LAYOUT, reads=(2,))

    def __init__(self, params: OmsParams, snapshot: bytes | None) -> None:
        self._params = params
        state: dict[str, Any] = {
            "market": None,
            "actions": None,
            "limits": [],
            "blotters": [],
            "orders": None,
        }
        arrays: dict[str, Any] = {}
        if snapshot:
            _, arrays = unpack(snapshot, self.name, _LAYOUT)
            state = json.loads(arrays["state"].tobytes())
        self._out = Outbox()
        self._market = Market(params.max_keys, state["market"], params.market_cushion_bps)
        self._actions = Actions(state["actions"])
        self._limits = {name: restored(values) for name, values in state["limits"]}
        self._blotters: dict[str, Blotter] = {}
        self._movements: dict[str, dict[str, None]] = {}
        if state["orders"] is not None:
            count = sum(values[2] for _, values, _ in state["blotters"])
            orders = PackedOrders(state["orders"], arrays, count)
            for name, values, movements in state["blotters"]:
                self._blotter(name).restore(values, orders)
                self._movements[name] = dict.fromkeys(movements)
        self._take = {
            ACCOUNTS: self._take_accounts,
            INSTRUMENTS: self._market.take_instruments,
            MARKS: self._take_marks,
            CORPORATE_ACTIONS: self._take_actions,
            CASH_MOVEMENTS: self._take_movements,
            ORDERS: self._take_orders,
            ORDER_REPORTS: self._take_reports,
            EXECUTIONS: self._take_executions,
        }

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take rows of one input in; give the events and instructions that they cause."""
        at, given = rows.only
        if not given.batch.num_rows:
            return []
        self._take[self.inputs[at].topic](given.batch)
        made = self._out.batches(given.batch, self._market.now)
        return [Emit(topic=topic, batch=batch) for topic, batch in made]

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Order flows go by rows alone: the execution says when orders expire."""
        return []

    def snapshot(self) -> bytes:
        """Orders by column; the rest as JSON, whose integers have no end."""
        orders = [
            one for blotter in self._blotters.values() for one in blotter.known.orders.values()
        ]
        described, arrays = packed(columns_of(orders))
        state = {
            "market": self._market.saved(),
            "actions": self._actions.saved(),
            "limits": [[name, saved(limits)] for name, limits in self._limits.items()],
            "blotters": [
                [name, blotter.saved(), list(self._movements[name])]
                for name, blotter in self._blotters.items()
            ],
            "orders": described,
        }
        return _packed(state, arrays)

    @classmethod
    def upgraded(cls, snapshot: bytes, layout: int) -> bytes:
        """A snapshot of layout 2, in which all was JSON: each account's orders were in front of what else was known."""
        state = json.loads(unpack(snapshot, cls.name, layout)[1]["state"].tobytes())
        rows: list[Any] = []
        for _, values, _ in state["blotters"]:
            counts, account, (own, *known) = values
            rows += own
            values[:] = counts, account, len(own), known
        described, arrays = packed(columns_of_rows(rows))
        return _packed(state | {"orders": described}, arrays)

    def _take_accounts(self, batch: pa.RecordBatch) -> None:
        new = limits_of(batch)
        self._limits |= new
        if len(self._limits) > self._params.max_accounts:
            raise self._too_many(next(reversed(self._limits)))
        told = self._blotters if FIRM in new else [name for name in new if name in self._blotters]
        for name in told:
            self._blotters[name].account.allow(self._limits.get(name), self._limits.get(FIRM))

    def _take_movements(self, batch: pa.RecordBatch) -> None:
        for name, movement, amount, currency in zip(*lists(batch, _MOVEMENT), strict=True):
            blotter = self._blotters.get(name) or self._blotter(name)
            seen = self._movements[name]
            if movement in seen:
                continue
            if len(seen) >= self._params.max_movements:
                del seen[next(iter(seen))]
            seen[movement] = None
            blotter.account.purse(currency).cash += amount

    def _take_orders(self, batch: pa.RecordBatch) -> None:
        plain_desk.take(batch, self._blotters, self._market, self._blotter)

    def _take_reports(self, batch: pa.RecordBatch) -> None:
        for row in zip(*lists(batch, Report._fields), strict=True):
            report = Report._make(row)
            self._pass_time(report.ts_event)
            name = report.account
            life.take_report(self._blotters.get(name) or self._blotter(name), report)

    def _take_executions(self, batch: pa.RecordBatch) -> None:
        for row in zip(*lists(batch, Execution._fields), strict=True):
            fill = Execution._make(row)
            self._pass_time(fill.ts_event)
            name = fill.account
            blotter = self._blotters.get(name) or self._blotter(name)
            is_new = life.take_execution(blotter, fill)
            if is_new and self._actions.has_changed(fill.symbol, fill.ts_event):
                self._restate_fill(blotter.account, fill)

    def _take_marks(self, batch: pa.RecordBatch) -> None:
        """Actions are effective between the marks before their time and those from it on, however both are cut."""
        due = self._actions.next_time
        while due is not None and batch.num_rows:
            from_then = np.flatnonzero(times_ns(batch.column("ts_event")) >= due)
            if not len(from_then):
                break
            before = int(from_then[0])
            if before:
                self._market.take_marks(batch.slice(0, before))
            batch = batch.slice(before)
            self._pass_time(int(times_ns(batch.column("ts_event"))[0]))
            due = self._actions.next_time
        self._market.take_marks(batch)

    def _take_actions(self, batch: pa.RecordBatch) -> None:
        for row in zip(*lists(batch, tuple(OF_ACTION.values())), strict=True):
            self._actions.put(dict(zip(OF_ACTION, row, strict=True)))
            if self._market.now:
                self._pass_time(self._market.now)

    def _pass_time(self, ts_ns: int) -> None:
        """Market time is at least this: actions become effective."""
        market, due = self._market, self._actions.next_time
        market.pass_time(ts_ns)
        if due is None or due > market.now:
            return
        for action in self._actions.due(market.now):
            restate_price(market, action)
            for blotter in self._blotters.values():
                restate(blotter, action)

    def _restate_fill(self, account: Account, fill: Execution) -> None:
        """A fill that is told after an action, but is from before, was booked as of new shares."""
        quantity = fill.quantity if fill.side == "buy" else -fill.quantity
        booked = Piece(fill.symbol, quantity, 0)
        pieces, dividends = self._actions.converted(booked, fill.ts_event, fill.currency)
        hold(account, booked._replace(quantity=-quantity), fill.currency)
        for piece in bounded(pieces, booked):
            hold(account, piece, fill.currency, fill.price)
        for dividend in dividends:
            pay(account, dividend)

    def _blotter(self, name: str) -> Blotter:
        """The account's orders, which begin with the first that is heard of the account."""
        if len(self._blotters) >= self._params.max_accounts:
            raise self._too_many(name)
        account = Account(name, self._market, self._params.max_recent)
        account.allow(self._limits.get(name), self._limits.get(FIRM))
        known = KnownOrders(self._params.max_orders, self._params.max_ended_whole)
        found = self._blotters[name] = Blotter(account, self._market, known, self._out)
        self._movements[name] = {}
        return found

    def _too_many(self, name: str) -> FlowError:
        return FlowError(
            f"account {name!r} is one more than max_accounts = {self._params.max_accounts}; raise it"
        )


def _packed(state: dict[str, Any], arrays: dict[str, Any]) -> bytes:
    text = json.dumps(state, separators=(",", ":")).encode()
    return pack(Oms.name, _LAYOUT, {}, arrays | {"state": np.frombuffer(text, np.uint8)})
