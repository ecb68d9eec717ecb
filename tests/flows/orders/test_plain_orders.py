"""Plain orders are taken by column: what comes of them is what the desk would have made of each, to the byte."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.flow import Emit, InputRows, Rows
from flows.oms import Oms, OmsParams
from flows.orders import desk, plain_desk
from flows.orders.blotter import Blotter
from flows.orders.commands import Command
from flows.orders.money import ONE, decimal_column, small_ints
from flows.orders.plain_book import PlainBook, PlainOrder
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from schemas.order_ids import order_ids_of
from schemas.orders import EXECUTIONS, ORDERS
from schemas.positions import MARKS
from schemas.topic import Topic
from tests.flows.orders.order_system import ENTRY_NS, NEW, Row, batch_of, order_id

_SYMBOLS = ("AIG", "IBM", "SAP", "VOD", "NEW")
_ROWS = 150
# Each binds some of the orders and not others; the numbers themselves are edges that orders lie on.
_LIMITS: tuple[Row, ...] = (
    {},
    {"max_order_quantity": "200", "price_collar": "0.01"},
    {"max_order_notional": "10000", "max_position_quantity": "3000"},
    {"max_position_notional": "100000", "max_gross_notional": "400000"},
    {"max_orders_per_second": 20, "duplicate_window_ms": 40, "restricted": "IBM,ABC"},
    {"type": "cash"},
    {"self_trade_allowed": True, "leverage": "1"},
    {"currency": "EUR"},
    {"halted": True},
)
_FIRMS: tuple[Row | None, ...] = (
    None,
    {"max_gross_notional": "2000000", "max_order_quantity": "250"},
    {"max_gross_notional": "2000000", "currency": "EUR"},
)


class Days:
    """Batches of orders, and what they meet, drawn at random."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.given: list[tuple[Topic, pa.RecordBatch]] = []

    def give(self, topic: Topic, *rows: Row) -> None:
        self.given.append((topic, batch_of(topic, list(rows))))

    def pick(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def make(self, firm: Row | None, orders: Callable[[int], Row], batches: int = 4) -> None:
        for at, symbol in enumerate(_SYMBOLS):
            currency = "EUR" if symbol == "SAP" else "USD"
            tick = {"tick_size": [0.01, 0.05, None][at % 3], "currency": currency}
            self.give(INSTRUMENTS, {"symbol": symbol} | tick)
        self.give(ACCOUNTS, *({"account": f"A{at}"} | one for at, one in enumerate(_LIMITS)))
        if firm is not None:
            self.give(ACCOUNTS, {"account": "*"} | firm)
        for at, one in enumerate(_LIMITS):
            paid = {"amount": "150000", "currency": one.get("currency", "USD")}
            self.give(CASH_MOVEMENTS, {"account": f"A{at}", "movement_id": "m"} | paid)
        for batch in range(batches):
            marks = [self.mark(one) for one in _SYMBOLS[:-1]]
            self.give(MARKS, *marks, {"symbol": "EURUSD", "price": 1.25})
            rows = [orders(batch * _ROWS + at) for at in range(_ROWS)]
            made = batch_of(ORDERS, rows)
            names = (made.column(one).to_pylist() for one in ("account", "client_order_id"))
            at = made.schema.get_field_index("order_id")
            made = made.set_column(at, made.schema.field(at), pa.array(order_ids_of(*names)))
            self.given.append((ORDERS, made))
            self.give(EXECUTIONS, *(self.fill(one, at) for at, one in enumerate(rows[::5])))

    def mark(self, symbol: str) -> Row:
        bid = 50 + int(self.rng.integers(-20, 20)) / 20
        unquoted = self.rng.random() < 0.2
        prices = {"bid": None if unquoted else bid, "ask": bid + 0.05}
        return {"symbol": symbol, "price": bid} | prices

    def fill(self, order: Row, at: int) -> Row:
        account, client = order["account"], order["client_order_id"]
        named = {"account": account, "order_id": order_id(client, account)}
        deal = {"symbol": order.get("symbol", "AIG"), "side": order.get("side", "buy")}
        return named | deal | {"execution_id": f"{client}-{at}", "quantity": "50", "price": "50"}

    def order(self, at: int) -> Row:
        """Mostly a plain order, at and around limits; now and then anything else."""
        row = NEW | {
            "account": f"A{int(self.rng.integers(len(_LIMITS)))}"
            if at % 50
            else self.pick("*", "?"),
            "ts_event": ENTRY_NS + at * 5_000_000,
            "client_order_id": f"c{at if self.rng.random() < 0.95 else at // 2}",
            "symbol": self.pick(*_SYMBOLS) if self.rng.random() < 0.98 else "XYZ",
            "side": self.pick("buy", "buy", "buy", "sell", "sell_short"),
            "quantity": self.pick("1", "100", "199", "200", "201", "40", "7.5"),
            "limit_price": self.pick("49.5", "50", "50.05", "50.5", "50.51", "45", "50.003"),
            "correlation_id": self.pick(None, "x"),
            "strategy": self.pick("", "s"),
            "venue": self.pick(None, None, "N"),
        }
        if self.rng.random() < 0.2:
            row |= {"order_type": "market", "limit_price": self.pick(None, None, "50")}
        odd = self.rng.random()
        if odd < 0.1:
            row |= self.pick(
                {"command": "cancel"},
                {"command": "replace", "quantity": "60"},
                {"command": "cancel_all", "symbol": None},
                {"order_type": "stop_limit", "stop_price": "51"},
                {"display_quantity": "500"},
                {"time_in_force": "gtd", "ts_expire": 1},
                {"order_class": "oco", "take_profit_price": "60", "stop_loss_price": "40"},
                {"client_order_id": f"c{at}-tp"},
                {"quantity": "9" * 25, "limit_price": "9" * 15},
            )
        return row


def _bytes_of(given: list[tuple[Topic, pa.RecordBatch]], params: OmsParams) -> list[bytes]:
    flow, made = Oms(params, None), []
    for topic, batch in given:
        count = batch.num_rows
        numbers = {"offset": np.zeros(count, np.int64), "row": np.arange(count, dtype=np.int32)}
        own = InputRows(batch=batch, partition=0, **numbers)
        rows = Rows(inputs=tuple(own if one.topic is topic else None for one in Oms.inputs))
        for one in flow.on_rows(rows):
            assert isinstance(one, Emit)
            one.batch.validate(full=True)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, one.batch.schema) as writer:
                writer.write_batch(one.batch)
            made.append(sink.getvalue().to_pybytes())
        made.append(flow.snapshot())
    return made


@pytest.mark.parametrize("cushion", [0, 50])
@pytest.mark.parametrize("firm", _FIRMS)
def test_plain_orders_give_the_bytes_that_the_desk_gives(
    firm: Row | None, cushion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days(cushion)
    days.make(firm, days.order)
    params = OmsParams(market_cushion_bps=cushion, max_orders=90, max_recent=30)
    by_column = _bytes_of(days.given, params)
    monkeypatch.setattr(plain_desk, "MIN_ROWS", 1_000_000)
    assert by_column == _bytes_of(days.given, params)


@pytest.mark.parametrize("max_recent", [3, 20, 100])
@pytest.mark.parametrize("firm", _FIRMS[:2])
def test_orders_that_a_book_accepts_leave_what_the_desk_would_have(
    firm: Row | None, max_recent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an account has nothing but plain orders in a batch; limits are met in some batches and not in others."""
    days = Days(4)
    accounts = [{}, *_LIMITS[1:7]]
    days.make(
        firm,
        lambda at: (
            NEW
            | {
                "account": f"A{at % len(accounts)}",
                "ts_event": ENTRY_NS + (at + 400 * (at // _ROWS)) * 3_000_000 - at % 2 * 10**7,
                "client_order_id": f"c{at if at % 71 else at - 7}",
                "symbol": days.pick(*_SYMBOLS[:2]),
                "side": "sell" if at % 149 == 3 else "buy",
                "quantity": str(1 + at % 60),
                "limit_price": days.pick("49.5", "49.55", "49"),
                "order_type": days.pick("limit", "limit", "market"),
            }
        ),
    )
    told: list[bool] = []
    accept = PlainBook.accept

    def seen(book: PlainBook, asked: PlainOrder) -> bool:
        told.append(accept(book, asked))
        return told[-1]

    monkeypatch.setattr(PlainBook, "accept", seen)
    params = OmsParams(max_recent=max_recent)
    by_column = _bytes_of(days.given, params)
    assert set(told) == {True, False}
    monkeypatch.setattr(plain_desk, "MIN_ROWS", 1_000_000)
    assert by_column == _bytes_of(days.given, params)


def test_an_account_that_a_dictionary_names_twice_has_one_book(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = Days(1)
    rich = {"account": "A0", "client_order_id": "c20", "symbol": "SAP", "quantity": "1200"}
    days.make(
        None,
        lambda at: (
            NEW
            | {"quantity": "10"}
            | (rich if at == 20 else {"account": "A0", "client_order_id": f"c{at}"})
        ),
        batches=1,
    )
    days.give(ACCOUNTS, {"account": "A0", "max_gross_notional": "100000"})
    days.given.insert(-3, days.given.pop())
    topic, orders = days.given[-2]
    assert topic is ORDERS
    at = orders.schema.get_field_index("account")
    twice = pa.DictionaryArray.from_arrays(
        pa.array([row % 2 if row != 20 else 0 for row in range(_ROWS)], pa.int32()), ["A0", "A0"]
    )
    days.given[-2] = (topic, orders.set_column(at, orders.schema.field(at), twice))
    by_column = _bytes_of(days.given, OmsParams())[-1]
    monkeypatch.setattr(plain_desk, "MIN_ROWS", 1_000_000)
    assert by_column == _bytes_of(days.given, OmsParams())[-1]


def test_orders_that_surely_pass_do_not_come_to_the_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    take = desk.take

    def seen(blotter: Blotter, command: Command) -> None:
        taken.append(command.order_id)
        take(blotter, command)

    monkeypatch.setattr(desk, "take", seen)
    days = Days(1)
    days.make(
        None,
        lambda at: NEW | {"account": "A0", "client_order_id": f"c{at}", "quantity": "1"},
        batches=1,
    )
    made = _bytes_of(days.given, OmsParams())
    assert made
    assert not taken


def test_small_numbers_are_those_that_fit() -> None:
    most = 1 << 62
    column = decimal_column([0, 5 * ONE, most - 1, most, -1, 10**30, None])
    values, is_small = small_ints(column)
    assert values.tolist() == [0, 5 * ONE, most - 1, 0, 0, 0, 0]
    assert is_small.tolist() == [True] * 3 + [False] * 4
    assert small_ints(column.slice(1, 2))[0].tolist() == [5 * ONE, most - 1]
    assert small_ints(decimal_column([None, None]))[1].tolist() == [False] * 2
