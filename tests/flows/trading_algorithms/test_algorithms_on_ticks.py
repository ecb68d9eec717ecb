"""Algorithms in the flow ``execution`` on real ticks of IBM and AIG: they fill what they should, and are measured right.

The benchmarks are computed again by Polars from the feed's rows, which knows nothing of the flow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.taq import Taq
from flows.execution import Execution, ExecutionParams
from flows.flow import Emit, InputRows, Rows
from schemas.bars import BARS
from schemas.market import QUOTES, TRADES
from schemas.order_ids import order_id_of
from schemas.orders import INSTRUCTIONS
from schemas.topic import Topic

SECOND = 1_000_000_000
TEN = 1_381_154_400 * SECOND  # 2013-10-07 10:00 in New York
MINUTES = {"IBM": 20, "AIG": 6}

pytestmark = pytest.mark.shared

INPUTS = {one.topic.name: at for at, one in enumerate(Execution.inputs)}


@cache
def ticks(shared: Path, symbol: str, kind: str) -> pa.RecordBatch:
    """From five minutes before ten to a minute behind the end, as the feed reads them."""
    path = shared / f"ticks/us_equity_taq/{symbol.lower()}/20131007_{kind}.zip"
    [source] = Taq(VENDOR).open(probe(path), 4 << 20)
    table = pa.Table.from_batches([block.rows.batch for block in source.blocks()])
    times = table["ts_event"].cast(pa.int64())
    begin, end = TEN - 300 * SECOND, TEN + 60 * (MINUTES[symbol] + 1) * SECOND
    kept = pc.and_(pc.greater_equal(times, begin), pc.less(times, end))
    [batch] = table.filter(kept).combine_chunks().to_batches()
    return batch


def instruction(
    symbol: str, algorithm: str, params: dict[str, Any], **terms: Any
) -> pa.RecordBatch:
    """A new order of 2,000 shares, as the order system passes it on."""
    client_order_id = terms.get("client_order_id", algorithm)
    values: dict[str, Any] = {
        "symbol": symbol,
        "ts_event": TEN,
        "account": "A",
        "sequence": 1,
        "action": "new",
        "order_id": order_id_of("A", client_order_id),
        "client_order_id": client_order_id,
        "side": "buy",
        "quantity": 2_000,
        "algorithm": algorithm,
        "algorithm_params": orjson.dumps(params).decode(),
        "order_type": "market",
        "time_in_force": "day",
        "currency": "USD",
        "strategy": "",
        "ts_entry": TEN,
    } | terms
    columns = {}
    for field in INSTRUCTIONS.fields:
        value = values.get(field.name)
        kind = pa.string() if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_timestamp(kind) and value is not None:
            columns[field.name] = pa.array([value], pa.int64()).cast(kind)
        else:
            columns[field.name] = pa.array([value]).cast(kind)
    return INSTRUCTIONS.batch(columns)


@dataclass
class Run:
    """What the flow has emitted, by topic."""

    rows: dict[str, pl.DataFrame]

    def of(self, topic: str) -> pl.DataFrame:
        return self.rows[topic]

    @property
    def report(self) -> dict[str, Any]:
        return self.of("algorithm_reports").row(0, named=True)


def pieces(shared: Path, symbol: str) -> Iterator[tuple[Topic, pa.RecordBatch, int]]:
    """Quotes, then trades, second by second, with the second's end."""
    found = []
    for topic, kind in ((QUOTES, "quote"), (TRADES, "trade")):
        batch = ticks(shared, symbol, kind)
        seconds = batch.column("ts_event").cast(pa.int64()).to_numpy() // SECOND
        edges = np.flatnonzero(np.diff(seconds)) + 1
        for part in np.split(np.arange(len(seconds)), edges):
            second = int(seconds[part[0]])
            found.append((second, topic.name, topic, batch.slice(part[0], len(part))))
    found.sort(key=lambda one: one[:2])
    for second, _, topic, batch in found:
        yield topic, batch, (second + 1) * SECOND


def worked(
    shared: Path,
    symbol: str,
    order: pa.RecordBatch,
    *,
    restart_at: int | None = None,
    before: pa.RecordBatch | None = None,
    later: tuple[int, pa.RecordBatch] | None = None,
) -> Run:
    """Feed the ticks, give the order at ten, and collect what is emitted.

    ``before``: bars of earlier days. ``later``: another instruction, and when it comes.
    """
    flow = Execution(ExecutionParams(), None)
    emitted: dict[str, list[pl.DataFrame]] = {one.name: [] for one in Execution.outputs}

    def give(topic: Topic, batch: pa.RecordBatch) -> None:
        count = batch.num_rows
        rows = InputRows(
            batch=batch,
            partition=0,
            offset=np.zeros(count, np.int64),
            row=np.arange(count, dtype=np.int32),
        )
        at = INPUTS[topic.name]
        inputs = tuple(rows if place == at else None for place in range(len(INPUTS)))
        for one in flow.on_rows(Rows(inputs=inputs)):
            if isinstance(one, Emit):
                emitted[one.topic.name].append(pl.DataFrame(one.batch))

    if before is not None:
        give(BARS, before)
    ordered = False
    for topic, batch, end in pieces(shared, symbol):
        if end > TEN and not ordered:
            give(INSTRUCTIONS, order)
            ordered = True
        if later is not None and end > later[0]:
            give(INSTRUCTIONS, later[1])
            later = None
        give(topic, batch)
        if restart_at is not None and end >= restart_at:
            flow, restart_at = Execution(ExecutionParams(), flow.snapshot()), None
    return Run({name: pl.concat(parts) for name, parts in emitted.items() if parts})


@dataclass(frozen=True)
class Reference:
    """Mid at the beginning, TWAP of the mid until the end, VWAP and volume; by Polars."""

    arrival: float
    twap: float
    traded: tuple[tuple[float, float], ...]
    """VWAP and volume, up to each trade of the last second: its quotes are fed before them, so that time has come to the
    end when its first trade is told, and any of them may be what fills the order."""


def reference(shared: Path, symbol: str, begin_ns: int, end_ns: int) -> Reference:
    best = (
        pl.DataFrame(ticks(shared, symbol, "quote"))
        .with_columns(
            pl.when(pl.col(f"{side}_size") > 0).then(side).alias(side) for side in ("bid", "ask")
        )
        .with_columns(pl.col("bid", "ask").forward_fill(), ns=pl.col("ts_event").dt.epoch("ns"))
        .with_columns(
            mid=pl.when(pl.col("bid") <= pl.col("ask")).then((pl.col("bid") + pl.col("ask")) / 2)
        )
        .group_by(pl.col("ns").cum_max(), maintain_order=True)
        .last()
    )
    arrival = best.filter(pl.col("ns") <= begin_ns)["mid"][-1]
    inside = best.filter(pl.col("ns").is_between(begin_ns, end_ns, closed="right"))
    stood = np.diff(np.concatenate([[begin_ns], inside["ns"].to_numpy(), [end_ns]]))
    mids = np.concatenate([[arrival], inside["mid"].to_numpy()])
    known = ~np.isnan(mids)
    trades = pl.DataFrame(ticks(shared, symbol, "trade")).filter(
        (pl.col("action").cast(pl.String) == "new")
        & pl.col("updates_volume")
        & (pl.col("size") > 0)
        & (pl.col("ts_event").dt.epoch("ns") >= TEN)
    )
    times = trades["ts_event"].dt.epoch("ns")
    first, last = int((times < end_ns // SECOND * SECOND).sum()), int((times <= end_ns).sum())
    traded = []
    for count in range(first, last + 1):
        own = trades.head(count)
        volume = float(own["size"].sum())
        traded.append((float((own["price"] * own["size"]).sum()) / volume, volume))
    twap = float(np.sum(mids[known] * stood[known]) / np.sum(stood[known]))
    return Reference(arrival, twap, tuple(traded))


def plan(algorithm: str, symbol: str) -> dict[str, Any]:
    return {"duration_seconds": MINUTES[symbol] * 60} | PLANS[algorithm]


PLANS: dict[str, dict[str, Any]] = {
    "twap": {"slices": 10},
    "vwap": {"slices": 10},
    "implementation_shortfall": {"slices": 10, "half_life_seconds": 300},
    "pov": {"rate": 0.05, "interval_seconds": 5},
}


@pytest.mark.parametrize("symbol", ["IBM", "AIG"])
@pytest.mark.parametrize("algorithm", sorted(PLANS))
def test_it_fills_what_it_should_and_its_report_is_right(
    shared: Path, symbol: str, algorithm: str
) -> None:
    run = worked(shared, symbol, instruction(symbol, algorithm, plan(algorithm, symbol)))
    fills, report = run.of("executions"), run.report
    filled = float(fills["quantity"].sum())
    assert run.of("algorithm_reports").height == 1
    assert float(report["filled_quantity"]) == filled
    begin_ns, end_ns = (
        int(run.of("algorithm_reports")[name].dt.epoch("ns")[0])
        for name in ("ts_begin", "ts_event")
    )
    expected = reference(shared, symbol, begin_ns, end_ns)
    assert report["arrival_price"] == expected.arrival
    assert report["twap"] == pytest.approx(expected.twap, rel=1e-12)
    vwap, volume = min(expected.traded, key=lambda one: abs(one[0] - report["vwap"]))
    assert report["vwap"] == pytest.approx(vwap, rel=1e-12)
    assert report["participation"] == pytest.approx(filled / volume, rel=1e-12)
    paid = float((fills["quantity"] * fills["price"]).cast(pl.Float64).sum()) / filled
    assert float(report["average_price"]) == pytest.approx(paid, abs=1e-9)
    for name, benchmark in (("arrival", expected.arrival), ("vwap", vwap), ("twap", expected.twap)):
        slippage = 10_000 * (paid / benchmark - 1)
        assert report[f"slippage_{name}"] == pytest.approx(slippage, abs=1e-6), name
    if algorithm == "pov":
        assert 0.8 * min(0.05 * volume, 2_000) < filled <= 0.05 * volume
    else:
        assert filled == 2_000


@pytest.mark.parametrize("algorithm", sorted(PLANS))
def test_a_restart_in_the_middle_changes_no_fill(shared: Path, algorithm: str) -> None:
    order = instruction("IBM", algorithm, plan(algorithm, "IBM"))
    straight = worked(shared, "IBM", order)
    resumed = worked(shared, "IBM", order, restart_at=TEN + 420 * SECOND)
    for name, rows in straight.rows.items():
        assert rows.equals(resumed.of(name)), name


def test_every_part_that_was_sent_has_its_evidence(shared: Path) -> None:
    run = worked(shared, "IBM", instruction("IBM", "twap", plan("twap", "IBM")))
    decisions = run.of("routing_decisions")
    assert decisions["sequence"].to_list() == list(range(1, decisions.height + 1))
    for row in decisions.iter_rows(named=True):
        candidates = orjson.loads(row["candidates"])
        assert row["venue"] in {one["venue"] for one in candidates}
        assert row["reason"]
    assert set(run.of("executions")["venue"].cast(pl.String)) <= set(
        decisions["venue"].cast(pl.String)
    )


def test_vwap_follows_what_the_flow_has_learned_of_earlier_days(shared: Path) -> None:
    """Two days on which nothing was traded behind 10:10: all is done by then."""
    starts = [
        TEN - day * 86_400 * SECOND + minute * 60 * SECOND
        for day in (4, 3, 0)
        for minute in (range(-30, 10) if day else [-30])
    ]
    count = len(starts)
    bars = BARS.batch(
        {
            "symbol": pa.array(["IBM"] * count),
            "interval": pa.array(["1m"] * count),
            "ts_event": np.array(starts) + 60 * SECOND,
            "ts_start": np.array(starts),
            **dict.fromkeys(("open", "high", "low", "close", "vwap"), np.full(count, 180.0)),
            "volume": np.full(count, 1_000.0),
            "trade_count": np.ones(count, np.int64),
            "buy_volume": np.zeros(count),
            "sell_volume": np.zeros(count),
        }
    )
    order = instruction("IBM", "vwap", plan("vwap", "IBM") | {"style": "cross"})
    run = worked(shared, "IBM", order, before=bars)
    assert run.report["note"] == "volume curve: mean of 2 earlier days"
    assert float(run.report["filled_quantity"]) == 2_000
    assert run.of("executions")["ts_event"].dt.epoch("ns").max() < TEN + 610 * SECOND


def test_a_replacement_and_a_cancellation_end_an_algorithm_with_a_report(shared: Path) -> None:
    terms = plan("twap", "IBM") | {"style": "cross"}
    order = instruction("IBM", "twap", terms)
    at = TEN + 300 * SECOND
    less = instruction("IBM", "twap", terms, action="replace", sequence=2, quantity=1_000)
    replaced = worked(shared, "IBM", order, later=(at, less))
    assert float(replaced.report["filled_quantity"]) == 1_000
    assert float(replaced.report["quantity"]) == 1_000
    stop = instruction("IBM", "twap", terms, action="cancel", sequence=2)
    cancelled = worked(shared, "IBM", order, later=(at, stop))
    # Of ten slices of two minutes three have begun after five.
    assert float(cancelled.report["filled_quantity"]) == 600
    assert cancelled.of("order_reports")["report"].cast(pl.String).to_list()[-1] == "cancelled"


def test_an_iceberg_and_a_sniper_keep_to_their_prices(shared: Path) -> None:
    best = pl.DataFrame(ticks(shared, "IBM", "quote"))["ask"].drop_nulls()
    price = float(round(best.min() + 0.1, 2))
    for algorithm, params in (
        ("iceberg", {"display_quantity": 200}),
        ("sniper", {"max_size": 300, "pause_seconds": 2}),
    ):
        order = instruction(
            "IBM", algorithm, params, order_type="limit", limit_price=Decimal(str(price))
        )
        run = worked(shared, "IBM", order)
        fills = run.of("executions")
        assert fills["price"].max() <= Decimal(str(price))
        if algorithm == "sniper":
            assert set(fills["liquidity"].cast(pl.String)) == {"removed"}
