"""Orders on one core: a pre-trade check, and the order system from Arrow commands to Arrow events.

The check is measured as the API's dry run asks it, one order at a time; the order system in batches of commands, each
with its positions as a shard reads them, without the log.
"""

import gc
from statistics import median
from time import perf_counter_ns, process_time
from typing import Any

import numpy as np
import pyarrow as pa

from bench.report import Result
from flows.flow import Emit, Flow, InputRows, Rows
from flows.oms import Oms, OmsParams
from flows.orders.checks import check
from flows.orders.commands import commands
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.field import DECIMAL, TIMESTAMP
from schemas.instruments import INSTRUMENTS
from schemas.order_ids import order_id_of
from schemas.orders import ORDERS
from schemas.positions import MARKS
from schemas.topic import Topic

ORDER_COUNT = 100_000
QUICK_COUNT = 20_000
ACCOUNT_COUNT = 50
SYMBOL_COUNT = 200
BATCHES = (1_000, 16_384)
# 7 October 2013, 13:30 UTC.
_MARKET_NS = 1_381_152_600_000_000_000
_ENTRY_NS = 1_760_000_000_000_000_000


def run(quick: bool) -> list[Result]:
    """All figures."""
    count = QUICK_COUNT if quick else ORDER_COUNT
    batch = orders(count)
    return [*_checks(batch.slice(0, count // 10)), *(_oms(batch, size) for size in BATCHES)]


def reference() -> dict[Topic, pa.RecordBatch]:
    """Accounts with every limit set, their cash, instruments and marks."""
    names = [f"account-{at}" for at in range(ACCOUNT_COUNT)]
    symbols = [f"S{at:03d}" for at in range(SYMBOL_COUNT)]
    limits = {
        "max_order_quantity": 100_000,
        "max_order_notional": 10**7,
        "max_position_quantity": 10**9,
        "max_position_notional": 10**11,
        "max_gross_notional": 10**13,
    }
    prices = 50 + np.arange(SYMBOL_COUNT) / 4
    return {
        ACCOUNTS: ACCOUNTS.batch(
            {
                "account": names,
                "ts_event": _same(_ENTRY_NS, names),
                "ts_recv": _same(_ENTRY_NS, names),
                "currency": ["USD"] * len(names),
                "type": ["margin"] * len(names),
                "leverage": _decimals([4] * len(names)),
                **{name: _decimals([limit] * len(names)) for name, limit in limits.items()},
                "price_collar": pa.array(["0.1"] * len(names)).cast(DECIMAL),
                "max_orders_per_second": [50_000] * len(names),
                "duplicate_window_ms": [50] * len(names),
                "restricted": ["XYZ,ABC"] * len(names),
                "self_trade_allowed": [False] * len(names),
                "halted": [False] * len(names),
                "user": ["chief"] * len(names),
            }
        ),
        CASH_MOVEMENTS: CASH_MOVEMENTS.batch(
            {
                "account": names,
                "ts_event": _same(_ENTRY_NS, names),
                "ts_recv": _same(_ENTRY_NS, names),
                "movement_id": ["first"] * len(names),
                "kind": ["deposit"] * len(names),
                "amount": _decimals([10**12] * len(names)),
                "currency": ["USD"] * len(names),
            }
        ),
        INSTRUMENTS: INSTRUMENTS.batch(
            {
                "symbol": symbols,
                "ts_event": _same(0, symbols),
                "ts_recv": _same(0, symbols),
                "type": ["stock"] * len(symbols),
                "currency": ["USD"] * len(symbols),
                "tick_size": [0.01] * len(symbols),
                "lot_size": [100.0] * len(symbols),
                "calendar": ["XNYS"] * len(symbols),
                "is_active": [True] * len(symbols),
            }
        ),
        MARKS: MARKS.batch(
            {
                "symbol": symbols,
                "ts_event": _same(_MARKET_NS, symbols),
                "bid": prices - 0.01,
                "ask": prices + 0.01,
                "last": prices,
                "price": prices,
            }
        ),
    }


def orders(count: int) -> pa.RecordBatch:
    """New limit orders that pass all checks, of many accounts and symbols, 10 microseconds apart."""
    rng = np.random.default_rng(7)
    accounts = rng.integers(0, ACCOUNT_COUNT, count)
    symbols = rng.integers(0, SYMBOL_COUNT, count)
    names = [f"account-{at}" for at in accounts]
    clients = [f"client-order-{at:08d}" for at in range(count)]
    # Each order differs from those shortly before it, which would be duplicates.
    quantities = 1 + np.arange(count) % 9_973
    cents = 5_000 + 25 * symbols - rng.integers(0, 50, count)
    return ORDERS.batch(
        {
            "account": pa.array(names).dictionary_encode(),
            "ts_event": pa.array(_ENTRY_NS + 10_000 * np.arange(count)).view(TIMESTAMP),
            "ts_recv": pa.array(_ENTRY_NS + 10_000 * np.arange(count)).view(TIMESTAMP),
            "command": ["new"] * count,
            "order_id": list(map(order_id_of, names, clients)),
            "client_order_id": clients,
            "symbol": pa.array([f"S{at:03d}" for at in symbols]).dictionary_encode(),
            "side": ["buy"] * count,
            "quantity": _decimals(quantities),
            "order_type": ["limit"] * count,
            "limit_price": pa.array([f"{one / 100:.2f}" for one in cents]).cast(DECIMAL),
            "time_in_force": ["day"] * count,
            "order_class": ["simple"] * count,
            "strategy": ["bench"] * count,
            "user": ["trader"] * count,
        }
    )


def _checks(batch: pa.RecordBatch) -> list[Result]:
    """Time of single checks while the accounts' books fill: each order that passes is added to them."""
    singly: list[int] = []
    together = 0.0
    flow = _fed()
    # The very order system's books, so that open orders lie in them as in the flow.
    blotters = flow._blotters  # noqa: SLF001 - the bench looks at one part's time
    step = 1_000
    for begin in range(0, batch.num_rows, step):
        part = batch.slice(begin, step)
        asked = [(blotters[one.account].account, one) for one in commands(part)]
        begun = process_time()
        refused = [check(account, account.market, command) for account, command in asked]
        together += process_time() - begun
        assert not any(refused)
        for account, command in asked:
            begun_ns = perf_counter_ns()
            check(account, account.market, command)
            singly.append(perf_counter_ns() - begun_ns)
        flow.on_rows(_rows(flow, ORDERS, part))
    micros = np.array(singly) / 1e3
    note = (
        f"{len(micros):,} orders, every limit set, {ACCOUNT_COUNT} accounts, {SYMBOL_COUNT} symbols"
    )
    return [
        Result(name=f"pre-trade check, {what}", value=value, unit="µs", wanted=wanted, note=note)
        for what, value, wanted in (
            ("mean (processor time)", together / len(micros) * 1e6, "< 20"),
            ("median", float(np.median(micros)), ""),
            ("p99", float(np.quantile(micros, 0.99)), "< 100"),
        )
    ]


def _oms(batch: pa.RecordBatch, size: int) -> Result:
    parts = [batch.slice(at, size) for at in range(0, batch.num_rows, size)]
    speeds = []
    thresholds = gc.get_threshold()
    # As the programs that carry flows have it (`serving.verbs.programs`).
    gc.set_threshold(50_000, 20, 100)
    for _ in range(3):
        flow = _fed()
        # The flow of the round before is garbage.
        gc.collect()
        begun = process_time()
        given = [one for part in parts for one in flow.on_rows(_rows(flow, ORDERS, part))]
        speeds.append(batch.num_rows / (process_time() - begun))
        rows = [one.batch.num_rows for one in given if isinstance(one, Emit)]
        assert sum(rows) == 2 * batch.num_rows
    gc.set_threshold(*thresholds)
    return Result(
        name=f"oms, commands in batches of {size:,}",
        value=median(speeds),
        unit="orders/s",
        wanted=">= 100,000",
        note=f"{batch.num_rows:,} new orders, accepted and instructed; processor time of one thread",
    )


def _fed() -> Oms:
    flow = Oms(OmsParams(), None)
    for topic, rows in reference().items():
        flow.on_rows(_rows(flow, topic, rows))
    return flow


def _rows(flow: Flow, topic: Topic, batch: pa.RecordBatch) -> Rows:
    count = batch.num_rows
    given = InputRows(
        batch=batch,
        partition=0,
        offset=np.zeros(count, np.int64),
        row=np.arange(count, dtype=np.int32),
    )
    return Rows(inputs=tuple(given if one.topic is topic else None for one in flow.inputs))


def _same(value: int, names: list[str]) -> list[int]:
    return [value] * len(names)


def _decimals(values: Any) -> pa.Array:
    return pa.array(values, pa.int64()).cast(DECIMAL)
