"""Execution on one core, and the whole way of an order: from its append in the log to its fill in the log.

Throughput is of instructions in batches, each filled at once by the paper market, or spread by the router over
venue models and filled at the next quote; and of quotes of symbols that nobody trades. The latency is of
the supervised flows `marks`, `oms` and `execution`, while quotes of 100 symbols come in at the wall's pace.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import perf_counter_ns, process_time, sleep, time_ns

import numpy as np
import pyarrow as pa

from bench.bench_orders import reference
from bench.report import Result
from connectors.log import Log, open_log
from connectors.records import decode_rows, is_rows, rows_record
from connectors.scan import scan_records
from connectors.topics import create_topics
from flows.execution import Execution, ExecutionParams
from flows.flow import InputRows, Rows
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.field import DECIMAL, TIMESTAMP
from schemas.instruments import INSTRUMENTS
from schemas.market import QUOTES
from schemas.order_ids import order_id_of
from schemas.orders import EXECUTIONS, INSTRUCTIONS, ORDERS
from schemas.topic import Topic
from serving.settings import Settings
from serving.settings_sources import program_environment
from serving.supervisor import Program, Supervisor

_SYMBOLS = [f"S{at:03d}" for at in range(200)]
_ACCOUNTS = [f"account-{at}" for at in range(50)]
# 7 October 2013, 13:31 UTC.
_MARKET_NS = 1_381_152_660_000_000_000
_BATCH = 16_384
_QUOTES_PER_S = 2_000
_ORDERS_PER_S = 100
# The first seconds compile kernels and fill caches.
_WARM_S = 4


def run(quick: bool) -> list[Result]:
    """All figures."""
    count = 20_000 if quick else 200_000
    return [
        _filled(count, smart_routing=False),
        _filled(count, smart_routing=True),
        _idle_quotes(10 * count),
        *_latencies(4 if quick else 20),
    ]


def _filled(count: int, *, smart_routing: bool) -> Result:
    speeds = []
    for _ in range(3):
        flow = Execution(ExecutionParams(smart_routing=smart_routing), None)
        flow.on_rows(_given(QUOTES, quotes(_SYMBOLS, _MARKET_NS)))
        parts = [instructions(at, min(_BATCH, count - at)) for at in range(0, count, _BATCH)]
        after = [quotes(_SYMBOLS, _MARKET_NS + (at + 1) * 10**9) for at in range(len(parts))]
        filled = 0
        begun = process_time()
        for orders, later in zip(parts, after, strict=True):
            for topic, batch in ((INSTRUCTIONS, orders), (QUOTES, later)):
                for one in flow.on_rows(_given(topic, batch)):
                    filled += one.batch.num_rows if one.topic is EXECUTIONS else 0
        speeds.append(count / (process_time() - begun))
        assert filled >= count, filled
    how = (
        "spread by the router, filled at the next quote" if smart_routing else "to one paper market"
    )
    return Result(
        name=f"execution, instructions in batches of {_BATCH:,}, {how}",
        value=median(speeds),
        unit="orders/s",
        wanted=">= 100,000",
        note=f"{count:,} marketable orders, each filled; processor time of one thread",
    )


def _idle_quotes(count: int) -> Result:
    """Quotes of symbols without orders."""
    random = np.random.default_rng(7)
    symbol = random.integers(0, len(_SYMBOLS), count).astype(np.int32)
    whole = _quotes(symbol, _SYMBOLS, _MARKET_NS + np.arange(count), random)
    speeds = []
    for _ in range(3):
        flow = Execution(ExecutionParams(), None)
        flow.on_rows(_given(QUOTES, whole.slice(0, 10)))
        begun = process_time()
        for at in range(0, count, 10_000):
            flow.on_rows(_given(QUOTES, whole.slice(at, 10_000)))
        speeds.append(count / (process_time() - begun))
    return Result(
        name="execution, quotes of symbols without orders, 10,000 rows a batch",
        value=median(speeds),
        unit="quotes/s",
        wanted=">= 1,800,000",
        note=f"{count:,} quotes of {len(_SYMBOLS)} symbols; processor time of one thread",
    )


def _latencies(seconds: int) -> list[Result]:
    """From an order's append time in the log to when its fill can be read, through oms and execution."""
    with _flows() as log:
        fills = _Fills(log)
        counted = _trade(log, seconds + _WARM_S)
        sleep(1.0)
        seen = fills.end()
        appended = {name: at for name, at in _append_times(log).items() if name in counted}
    # The log takes the time before it commits: the order's own way to the disk is in the figure.
    late = [(seen[name] - at) / 1e6 for name, at in appended.items() if name in seen]
    note = (
        f"{len(late):,} of {len(appended):,} market orders filled, {_ORDERS_PER_S} orders/s, "
        f"{_QUOTES_PER_S:,} quotes/s"
    )
    return [
        Result(
            name=f"order in the log → fill in the log, p{percent}",
            value=float(np.percentile(late, percent)) if late else float("nan"),
            unit="ms",
            wanted=wanted,
            note=note,
        )
        for percent, wanted in ((50, "< 5"), (99, "< 20"))
    ]


@contextmanager
def _flows() -> Iterator[Log]:
    """A log with accounts and instruments, and the flows on it as a supervised program."""
    with tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as folder:
        settings = Settings(
            home=Path(folder),
            partitions=1,
            run_flows=("marks", "oms", "execution"),
            flows={"execution": {"calendar": "24/7"}},
        )
        with open_log(settings.log) as log:
            create_topics(log, settings.partitions)
            told = reference()
            calendar = pa.array(["24/7"] * told[INSTRUMENTS].num_rows).dictionary_encode()
            at = INSTRUMENTS.schema.get_field_index("calendar")
            told[INSTRUMENTS] = told[INSTRUMENTS].set_column(
                at, INSTRUMENTS.schema.field(at), calendar
            )
            for topic in (ACCOUNTS, CASH_MOVEMENTS, INSTRUMENTS):
                _append(log, topic, told[topic])
            environment = program_environment(settings)
            programs = [Program(name="flows", arguments=["run"], environment=environment)]
            supervisor = Supervisor(programs, settings.logs_path)
            supervisor.start()
            try:
                yield log
            finally:
                supervisor.stop()


def _trade(log: Log, seconds: int) -> set[str]:
    """Append quotes and orders at the wall's pace; the orders behind the warm-up."""
    random = np.random.default_rng(7)
    counted: set[str] = set()
    symbols = _SYMBOLS[:100]
    ticks = seconds * 100
    begun = perf_counter_ns()
    for tick in range(ticks):
        wait_ns = begun + tick * 10_000_000 - perf_counter_ns()
        if wait_ns > 0:
            sleep(wait_ns / 1e9)
        count = _QUOTES_PER_S // 100
        symbol = random.integers(0, len(symbols), count).astype(np.int32)
        _append(log, QUOTES, _quotes(symbol, symbols, np.full(count, time_ns()), random))
        if tick > _WARM_S * 50:
            orders = _orders(tick, _ORDERS_PER_S // 100, [symbols[int(symbol[0])]])
            _append(log, ORDERS, orders)
            if tick > _WARM_S * 100:
                counted.update(orders.column("order_id").to_pylist())
    return counted


def _append_times(log: Log) -> dict[str, int]:
    """When each order was appended, by the log itself."""
    return {
        name: record.append_time_ns
        for record in scan_records(log, ORDERS.name, 0)
        if is_rows(record)
        for name in decode_rows(ORDERS, record).column("order_id").to_pylist()
    }


class _Fills:
    """Tails ``executions`` in a thread, and notes when each order's first fill was there."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._seen: dict[str, int] = {}
        self._stop = Event()
        self._thread = Thread(target=self._read)
        self._thread.start()

    def end(self) -> dict[str, int]:
        """Stop; order to when its first fill was seen."""
        self._stop.set()
        self._thread.join()
        return self._seen

    def _read(self) -> None:
        at = 0
        while not self._stop.is_set():
            if not self._log.wait({(EXECUTIONS.name, 0): at}, 0.1):
                continue
            chunk = self._log.read(EXECUTIONS.name, 0, at)
            seen = time_ns()
            at = chunk.next_offset
            for record in filter(is_rows, chunk.records):
                for name in decode_rows(EXECUTIONS, record).column("order_id").to_pylist():
                    self._seen.setdefault(name, seen)


def quotes(symbols: list[str], ts_ns: int) -> pa.RecordBatch:
    """One quote a symbol, of more size than anybody takes."""
    symbol = np.arange(len(symbols), dtype=np.int32)
    times = np.full(len(symbols), ts_ns)
    return _quotes(symbol, symbols, times, np.random.default_rng(ts_ns % 2**32))


def _quotes(
    symbol: np.ndarray, names: list[str], times: np.ndarray, random: np.random.Generator
) -> pa.RecordBatch:
    count = len(symbol)
    bids = 50.0 + symbol / 4
    stamps = pa.array(times.astype(np.int64)).view(TIMESTAMP)
    return QUOTES.batch(
        {
            "symbol": pa.DictionaryArray.from_arrays(pa.array(symbol), names),
            "venue": pa.DictionaryArray.from_arrays(
                pa.array(random.integers(0, 1, count).astype(np.int32)), ["N"]
            ),
            "ts_event": stamps,
            "ts_recv": stamps,
            "bid": bids,
            "bid_size": 1e6 + random.integers(0, 9, count) * 100.0,
            "ask": bids + 0.01,
            "ask_size": 1e6 + random.integers(0, 9, count) * 100.0,
        }
    )


def instructions(first: int, count: int) -> pa.RecordBatch:
    """Marketable limit orders of many accounts and symbols."""
    number = np.arange(first, first + count)
    symbol = (number * 7919) % len(_SYMBOLS)
    clients = [f"client-order-{at:08d}" for at in number]
    stamps = pa.array(np.full(count, _MARKET_NS)).view(TIMESTAMP)
    return INSTRUCTIONS.batch(
        {
            "symbol": pa.array([_SYMBOLS[at] for at in symbol]).dictionary_encode(),
            "ts_event": stamps,
            "account": pa.array([_ACCOUNTS[at % 50] for at in number]).dictionary_encode(),
            "sequence": number + 1,
            "action": ["new"] * count,
            "order_id": [f"order-{at:014d}" for at in number],
            "client_order_id": clients,
            "side": ["buy"] * count,
            "quantity": _decimals(1 + number % 97),
            "limit_price": pa.array([f"{50.02 + at / 4:.2f}" for at in symbol]).cast(DECIMAL),
            "order_type": ["limit"] * count,
            "time_in_force": ["day"] * count,
            "currency": ["USD"] * count,
            "strategy": [""] * count,
            "ts_entry": stamps,
        }
    )


def _orders(number: int, count: int, symbols: list[str]) -> pa.RecordBatch:
    clients = [f"client-order-{number:08d}-{at}" for at in range(count)]
    accounts = [_ACCOUNTS[number % 50]] * count
    stamps = pa.array(np.full(count, time_ns())).view(TIMESTAMP)
    return ORDERS.batch(
        {
            "account": accounts,
            "ts_event": stamps,
            "ts_recv": stamps,
            "command": ["new"] * count,
            "order_id": list(map(order_id_of, accounts, clients)),
            "client_order_id": clients,
            "symbol": [symbols[at % len(symbols)] for at in range(count)],
            "side": ["buy"] * count,
            "quantity": _decimals([100 + number % 9] * count),
            "order_type": ["market"] * count,
            # No latency of a venue: that would be waited for in market time, until the symbol's next quote.
            "venue": ["PAPER"] * count,
            "time_in_force": ["day"] * count,
            "order_class": ["simple"] * count,
            "strategy": ["bench"] * count,
            "user": ["trader"] * count,
        }
    )


def _append(log: Log, topic: Topic, batch: pa.RecordBatch) -> None:
    # The log of this bench has one partition a topic.
    log.append([rows_record(topic, 0, batch)])


def _given(topic: Topic, batch: pa.RecordBatch) -> Rows:
    rows = InputRows(
        batch=batch,
        partition=0,
        offset=np.zeros(batch.num_rows, np.int64),
        row=np.arange(batch.num_rows, dtype=np.int32),
    )
    return Rows(inputs=tuple(rows if one.topic is topic else None for one in Execution.inputs))


def _decimals(values: object) -> pa.Array:
    return pa.array(values, pa.int64()).cast(DECIMAL)
