"""What the named queries are asked about: best prices and books that are made up, and how answers are compared."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.registry import TOPICS
from schemas.topic import Topic

OPEN_NS = 1_381_152_600_000_000_000
"""2013-10-07T13:30Z."""


def landed(topic: Topic, columns: dict[str, object]) -> pa.Table:
    """Columns as rows that have landed, of one record."""
    record = Record(topic.name, 0, 0, OPEN_NS, None, (), None)
    return landed_table(topic, [Decoded(record, topic.batch(columns))])


def plain(rows: pl.DataFrame) -> pl.DataFrame:
    """With plain strings, and times as whole nanoseconds, which DuckDB's times with a zone do not have."""
    return rows.with_columns(
        pl.col(pl.Categorical).cast(pl.String), pl.selectors.datetime().dt.epoch("ns")
    )


def made_nbbo() -> dict[str, object]:
    """A random walk of the best prices through the day; a few are locked, crossed, or of one side."""
    rng = np.random.default_rng(11)
    rows = 5_000
    times = np.sort(OPEN_NS + rng.integers(0, 23_400, rows) * 1_000_000_000)
    bid = np.round(182 + np.cumsum(rng.normal(0, 0.01, rows)), 2)
    gap = rng.choice([-0.01, 0.0, 0.01, 0.02, 0.05], rows, p=[0.02, 0.03, 0.5, 0.3, 0.15])
    one_sided = rng.random(rows) < 0.02
    ask = np.round(bid + gap, 2)
    state = np.where(gap < 0, "crossed", np.where(gap == 0, "locked", "normal"))
    return {
        "symbol": pa.array(["IBM"] * rows),
        "ts_event": times,
        "number": np.arange(1, rows + 1),
        "bid": bid,
        "bid_size": rng.integers(1, 20, rows) * 100.0,
        "bid_venues": pa.array(["N"] * rows),
        "ask": pa.array(ask, mask=one_sided),
        "ask_size": pa.array(rng.integers(1, 20, rows) * 100.0, mask=one_sided),
        "ask_venues": pa.array(["N"] * rows),
        "state": pa.array(np.where(one_sided, "one_sided", state)),
    }


def made_books() -> dict[str, object]:
    """Books of two venues with as many levels as are there at random; all other columns are null or 0."""
    rng = np.random.default_rng(12)
    rows = 2_000
    topic = TOPICS["book_top"]
    columns: dict[str, object] = {}
    for field in topic.fields:
        if not field.nullable and pa.types.is_integer(field.type):
            columns[field.name] = pa.array(np.zeros(rows), field.type)
        elif not field.nullable and pa.types.is_boolean(field.type):
            columns[field.name] = pa.array(np.ones(rows, np.bool_))
        elif not field.nullable and not pa.types.is_timestamp(field.type):
            columns[field.name] = pa.array([(*field.allowed, "N")[0]] * rows)
    mid = np.round(182 + np.cumsum(rng.normal(0, 0.01, rows)), 3)
    levels = rng.integers(1, 11, rows)
    for level in range(1, 11):
        absent = levels < level
        for side, sign in (("bid", -1), ("ask", 1)):
            price = np.round(mid + sign * 0.01 * level, 3)
            columns[f"{side}_{level}"] = pa.array(price, mask=absent)
            columns[f"{side}_size_{level}"] = pa.array(
                rng.integers(1, 9, rows) * 100.0, mask=absent
            )
    return columns | {
        "symbol": pa.array(["IBM"] * rows),
        "venue": pa.array(rng.choice(["N", "Q"], rows)),
        "ts_event": np.sort(OPEN_NS + rng.integers(0, 23_400, rows) * 1_000_000_000),
        "number": np.arange(1, rows + 1),
        "mid": mid,
    }


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Equal in rows, column names and values; floats to 1e-9."""
    assert found.height > 0
    assert expected.columns == found.columns
    found = plain(found)
    assert found.height == expected.height
    for name in found.columns:
        left, right = found[name].to_list(), expected[name].to_list()
        assert [one is None for one in left] == [one is None for one in right], name
        if found[name].dtype.is_float():
            left = [one for one in left if one is not None]
            right = pytest.approx([one for one in right if one is not None], rel=1e-9, abs=1e-12)
        assert left == right, name
