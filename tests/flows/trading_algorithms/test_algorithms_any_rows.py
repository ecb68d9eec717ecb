"""Orders with algorithms among random rows: no row stops the flow, and neither cuts nor restarts change a byte."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from flows.engines.segments import Segment
from flows.engines.stepper import Stepper
from flows.execution import Execution, ExecutionParams
from schemas.market import QUOTES, TRADES
from schemas.order_fields import ALGORITHMS
from schemas.orders import INSTRUCTIONS
from tests.conformity.outputs import by_topic, same_bytes
from tests.conformity.workload import Piece, pieces, segments

ROWS = 1_500
TOPICS = [one.topic for one in Execution.inputs]
PARAMS: dict[str, list[dict[str, Any]]] = {
    "twap": [{"slices": 5, "duration_seconds": 40, "jitter": 0.5}, {"slices": 0}],
    "vwap": [{"slices": 7, "duration_seconds": 30, "style": "cross"}, {}],
    "implementation_shortfall": [
        {"slices": 4, "duration_seconds": 60, "half_life_seconds": 5},
        {"duration_seconds": 20, "completion": "leave"},
    ],
    "pov": [{"rate": 0.2, "interval_seconds": 2, "duration_seconds": 90}, {}],
    "iceberg": [{"display_quantity": 7, "variation": 0.5}, {"display_quantity": "0.3"}],
    "sniper": [{"price": 101, "pause_seconds": 0}, {"price": "99.5", "min_size": 3}],
}


def lively(seed: int) -> list[Piece]:
    """The workload of the flow's conformity, with a market about 100 and algorithms on most orders."""
    rng = np.random.default_rng(seed)
    return [
        Piece(one.input, _changed(one, rng)) if _changes(one) else one
        for one in pieces(Execution, seed, ROWS)
    ]


def _changes(piece: Piece) -> bool:
    return not piece.is_watermarks and TOPICS[piece.input] in (QUOTES, TRADES, INSTRUCTIONS)


def _changed(piece: Piece, rng: np.random.Generator) -> pa.RecordBatch:
    topic, batch = TOPICS[piece.input], piece.batch
    count = batch.num_rows
    columns: dict[str, Any] = dict(zip(batch.schema.names, batch.columns, strict=True))
    if topic is QUOTES:
        bid = np.round(rng.uniform(98.9, 99.9, count), 2)
        columns["bid"] = pa.array(bid, mask=rng.random(count) < 0.2)
        columns["ask"] = pa.array(bid + np.round(rng.uniform(0.0, 1.2, count), 2))
        columns["bid_size"] = rng.integers(0, 50, count).astype(float)
        columns["ask_size"] = rng.integers(0, 50, count).astype(float)
        columns["condition"] = pa.nulls(count, pa.string())
        columns["venue"] = pa.array(rng.choice(["N", "Q", "Z", "Y"], count))
    elif topic is TRADES:
        columns["price"] = np.round(rng.uniform(99.0, 101.0, count), 2)
        columns["size"] = rng.integers(0, 90, count).astype(float)
    else:
        names = [ALGORITHMS[at] for at in rng.integers(0, len(ALGORITHMS), count)]
        params = [PARAMS[name][int(rng.random() < 0.3)] for name in names]
        columns["algorithm"] = pa.array(names, mask=rng.random(count) < 0.1)
        columns["algorithm_params"] = pa.array([orjson.dumps(one).decode() for one in params])
        columns["quantity"] = pa.array(rng.integers(1, 3_000, count)).cast(pa.decimal128(38, 10))
        columns["order_type"] = pa.array(rng.choice(["market", "limit"], count))
        limit = pa.array(rng.integers(98, 103, count)).cast(pa.decimal128(38, 10))
        columns["limit_price"] = limit
        columns["time_in_force"] = pa.array(rng.choice(["day", "gtc", "ioc"], count))
        # Some commands speak of orders that there are: of few names.
        columns["order_id"] = pa.array([f"o{at}" for at in rng.integers(0, 300, count)])
        for name in ("stop_price", "venue", "ts_expire", "peg"):
            columns[name] = pa.nulls(count, batch.schema.field(name).type)
    return topic.batch(columns)


def _given(made: list[Segment], *, restarts: bool) -> list[Any]:
    stepper = Stepper(Execution, ExecutionParams())
    outputs: list[Any] = []
    for at, one in enumerate(made):
        outputs += stepper.take(one)
        if restarts and at % 3 == 0:
            stepper = Stepper(Execution, ExecutionParams(), stepper.snapshot())
    return outputs


@pytest.mark.slow
def test_neither_cuts_nor_restarts_change_what_algorithms_do() -> None:
    """Seed 2 has a symbol whose tick changes twice within one batch of ``instruments`` (a bug once)."""
    made = lively(2)
    straight = by_topic(_given(segments(Execution, made), restarts=False))
    reports = straight["algorithm_reports"].to_pylist()
    assert {row["algorithm"] for row in reports} == set(ALGORITHMS)
    assert sum(row["filled_quantity"] > 0 for row in reports) > 20
    assert all(row["filled_quantity"] <= row["quantity"] for row in reports)
    same_bytes(by_topic(_given(segments(Execution, made, 29), restarts=False)), straight)
    same_bytes(by_topic(_given(segments(Execution, made, 97), restarts=True)), straight)
