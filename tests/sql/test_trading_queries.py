"""Best-execution and slippage queries on made-up orders, against the same questions asked of DuckDB."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from connectors.clickhouse import connect, create_tables, create_views, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.execution import ALGORITHM_REPORTS, ROUTING_DECISIONS
from schemas.orders import EXECUTIONS, INSTRUCTIONS
from schemas.topic import Topic
from serving.queries import named_query
from tests.stores import store_process

_NS = 1_381_152_600_000_000_000
_VENUES = ("XNYS", "BATY", "EDGX")


def _landed(topic: Topic, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows with what matters; every other field is null, or the first value that is allowed."""
    columns: dict[str, Any] = {}
    for field in topic.fields:
        values = [row.get(field.name) for row in rows]
        if not field.nullable and all(value is None for value in values):
            plain = {pa.timestamp("ns", "UTC"): _NS, pa.int64(): 1, pa.bool_(): False}
            default = plain.get(field.type, (*field.allowed, "x")[0])
            values = [Decimal(1) if pa.types.is_decimal(field.type) else default] * len(rows)
        kind = pa.string() if pa.types.is_dictionary(field.type) else field.type
        columns[field.name] = pa.array(values, kind)
    record = Record(topic.name, 0, 0, _NS, None, (), None)
    return landed_table(topic, [Decoded(record, topic.batch(columns))])


def _orders(rng: np.random.Generator, count: int) -> dict[str, list[dict[str, Any]]]:
    """Orders of all types, routed to one to three venues, filled there in part, at their limits or better."""
    found: dict[str, list[dict[str, Any]]] = {"instructions": [], "decisions": [], "fills": []}
    for at in range(count):
        name, symbol = f"o{at}", ("IBM", "AIG")[at % 2]
        side = str(rng.choice(["buy", "sell", "sell_short"]))
        kind = str(rng.choice(["market", "limit", "stop"]))
        bid = Decimal(int(rng.integers(9_990, 10_000))) / 100
        ask = bid + Decimal(int(rng.integers(1, 9))) / 100
        known = rng.random() < 0.9
        found["instructions"].append(
            {
                "order_id": name,
                "symbol": symbol,
                "ts_event": _NS + at,
                "sequence": at + 1,
                "action": "new",
                "side": side,
                "order_type": kind,
                "limit_price": bid + Decimal(int(rng.integers(-3, 9))) / 100
                if kind == "limit"
                else None,
                "algorithm": "twap" if rng.random() < 0.2 else None,
                "venue": "XNYS" if rng.random() < 0.1 else None,
            }
        )
        for sequence, venue in enumerate(rng.permutation(_VENUES)[: rng.integers(1, 4)], start=1):
            prices = {"bid": bid if known else None, "ask": ask if known else None}
            found["decisions"].append(
                {
                    "order_id": name,
                    "symbol": symbol,
                    "sequence": sequence,
                    "venue": str(venue),
                    "quantity": Decimal(100),
                    "candidates": "[]",
                    **prices,
                }
            )
            for fill in range(int(rng.integers(0, 3))):
                found["fills"].append(
                    {
                        "execution_id": f"{name}-{venue}-{fill}",
                        "order_id": name,
                        "symbol": symbol,
                        "side": side,
                        "venue": str(venue),
                        "quantity": Decimal(int(rng.integers(1, 50))),
                        "price": bid + Decimal(int(rng.integers(0, 5))) / 100,
                        "fees": Decimal(int(rng.integers(-20, 30))) / 100,
                        **prices,
                    }
                )
    return found


def _reports(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    rows = []
    for at in range(count):
        filled = int(rng.integers(0, 3)) * 100
        measures = {
            f"slippage_{name}": float(rng.normal(0, 5)) if filled and rng.random() < 0.9 else None
            for name in ("arrival", "vwap", "twap")
        }
        rows.append(
            {
                "order_id": f"a{at}",
                "symbol": ("IBM", "AIG")[at % 2],
                "account": ("A", "B")[at % 3 == 0],
                "algorithm": str(rng.choice(["twap", "pov"])),
                "quantity": Decimal(300),
                "filled_quantity": Decimal(filled),
                "children": int(rng.integers(1, 9)),
                "average_price": Decimal(int(rng.integers(9_000, 9_900))) / 100 if filled else None,
                "participation": float(rng.random()),
                **measures,
            }
        )
    return rows


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    rng = np.random.default_rng(6)
    made = _orders(rng, 400)
    return {
        "instructions": _landed(INSTRUCTIONS, made["instructions"]),
        "routing_decisions": _landed(ROUTING_DECISIONS, made["decisions"]),
        "executions": _landed(EXECUTIONS, made["fills"]),
        # So many that ClickHouse's `quantile` would take some of them at random.
        "algorithm_reports": _landed(ALGORITHM_REPORTS, _reports(rng, 40_000)),
    }


@pytest.fixture(scope="module")
def client(tables: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("trading") / "store"
    topics = (INSTRUCTIONS, ROUTING_DECISIONS, EXECUTIONS, ALGORITHM_REPORTS)
    with store_process(path), connect(f"chdb:///{path}") as client:
        create_tables(client)
        create_views(client)
        for topic in topics:
            insert(client, topic, tables[topic.name], topic.name)
        yield client


@pytest.fixture(scope="module")
def duck(tables: dict[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    found = duckdb.connect()
    for name, rows in tables.items():
        frame = pl.from_arrow(rows)
        assert isinstance(frame, pl.DataFrame)
        plain = frame.with_columns(
            pl.col(pl.Categorical).cast(pl.String), pl.selectors.decimal().cast(pl.Float64)
        )
        found.register(name, plain.to_arrow())
    return found


def _asked(client: Any, name: str, **given: Any) -> list[dict[str, Any]]:
    query = named_query(name)
    found: list[dict[str, Any]] = client.query_arrow(
        query.text, parameters=query.values(given)
    ).to_pylist()
    return found


def _same(found: list[dict[str, Any]], expected: pl.DataFrame) -> None:
    assert len(found) == expected.height > 0
    for one, other in zip(found, expected.rows(named=True), strict=True):
        assert set(one) >= set(other)
        for name, value in other.items():
            here = one[name].decode() if isinstance(one[name], bytes) else one[name]
            if isinstance(value, float) and here is not None:
                assert float(here) == pytest.approx(value, rel=1e-9, abs=1e-9), name
            else:
                assert here == value, name


_BEST_EXECUTION = """
    WITH ordered AS (
        SELECT *, row_number() OVER (PARTITION BY order_id ORDER BY sequence) AS nth
        FROM instructions WHERE action = 'new'
    ), first AS (
        SELECT order_id, first(bid ORDER BY sequence) AS bid, first(ask ORDER BY sequence) AS ask
        FROM routing_decisions GROUP BY order_id
    ), typed AS (
        SELECT o.order_id, CASE
            WHEN algorithm IS NOT NULL OR o.order_type NOT IN ('market', 'limit') THEN 'other'
            WHEN o.order_type = 'market' THEN 'market'
            WHEN (side = 'buy' AND limit_price >= ask) OR (side <> 'buy' AND limit_price <= bid) THEN 'marketable limit'
            ELSE 'non-marketable limit' END AS order_type
        FROM ordered o JOIN first f USING (order_id)
        WHERE nth = 1 AND venue IS NULL AND {where}
    ), parts AS (
        SELECT order_type, venue, order_id, quantity AS routed, 0 AS filled, 0 AS fees, 0 AS better
        FROM typed JOIN routing_decisions USING (order_id)
        UNION ALL
        SELECT order_type, venue, order_id, 0, quantity, fees,
            coalesce(quantity * CASE WHEN side = 'buy' THEN ask - price ELSE price - bid END, 0)
        FROM typed JOIN executions USING (order_id)
    )
    SELECT order_type, venue, count(DISTINCT order_id) AS orders,
        count(DISTINCT order_id) / (SELECT count(*) FROM typed t WHERE t.order_type = p.order_type) AS order_share,
        sum(routed) AS routed_quantity, sum(filled) AS filled_quantity,
        sum(filled) / sum(sum(filled)) OVER (PARTITION BY order_type) AS filled_share,
        sum(fees) AS paid_fees, 100 * sum(fees) / sum(filled) AS fees_per_hundred,
        100 * sum(better) / sum(filled) AS improvement_per_hundred
    FROM parts p GROUP BY order_type, venue ORDER BY order_type, filled_quantity DESC, venue
"""


@pytest.mark.parametrize("symbol", ["", "IBM"])
def test_orders_and_payments_are_told_by_type_and_venue(
    client: Any, duck: duckdb.DuckDBPyConnection, symbol: str
) -> None:
    where = f"symbol = '{symbol}'" if symbol else "true"
    expected = duck.sql(_BEST_EXECUTION.format(where=where)).pl()
    _same(_asked(client, "best_execution", symbol=symbol), expected)
    assert expected["order_type"].n_unique() == 4
    shares = expected.group_by("order_type").agg(pl.col("filled_share").sum())["filled_share"]
    assert shares.to_list() == pytest.approx([1.0] * 4)


def test_times_bound_which_orders_are_reported(client: Any) -> None:
    assert _asked(client, "best_execution", end="2013-10-07 13:30:00") == []
    assert _asked(client, "algorithm_slippage", start="2013-10-08 00:00:00") == []


@pytest.mark.parametrize(("symbol", "account"), [("", ""), ("IBM", ""), ("AIG", "B")])
def test_slippage_is_weighed_by_value_and_its_median_is_exact(
    client: Any, duck: duckdb.DuckDBPyConnection, symbol: str, account: str
) -> None:
    means = ", ".join(
        f"""sum(slippage_{name} * filled_quantity * average_price)
            / sum(filled_quantity * average_price) FILTER (slippage_{name} IS NOT NULL) AS {name}_bps"""
        for name in ("arrival", "vwap", "twap")
    )
    expected = duck.sql(
        f"""
        SELECT algorithm, count(*) AS orders, sum(quantity) AS ordered_quantity,
            sum(filled_quantity) AS filled_quantity, sum(filled_quantity) / sum(quantity) AS filled_share,
            sum(children)::BIGINT AS children, {means},
            median(slippage_arrival) AS arrival_bps_median, avg(participation) AS participation_mean
        FROM algorithm_reports
        WHERE ('{symbol}' = '' OR symbol = '{symbol}') AND ('{account}' = '' OR account = '{account}')
        GROUP BY algorithm ORDER BY algorithm
        """
    ).pl()
    _same(_asked(client, "algorithm_slippage", symbol=symbol, account=account), expected)


def test_each_fill_is_measured_against_the_best_prices_that_were_known(
    client: Any, duck: duckdb.DuckDBPyConnection
) -> None:
    columns = "execution_id, mid, effective_spread_bps, quoted_spread_bps, improvement, cost_bps"
    found = client.query_arrow(
        f"SELECT {columns} FROM executions_quality ORDER BY execution_id"
    ).to_pylist()
    expected = duck.sql(
        """
        SELECT execution_id, (bid + ask) / 2 AS mid,
            2 * 10000 * sign * (price - mid) / mid AS effective_spread_bps,
            10000 * (ask - bid) / mid AS quoted_spread_bps,
            CASE WHEN side = 'buy' THEN ask - price ELSE price - bid END AS improvement,
            10000 * (sign * (price - mid) + fees / quantity) / mid AS cost_bps
        FROM (SELECT *, CASE WHEN side = 'buy' THEN 1 ELSE -1 END AS sign FROM executions)
        ORDER BY execution_id
        """
    ).pl()
    _same(found, expected)
    assert any(row["mid"] is None for row in found)
