"""The view breadth_current: of each interval, the row of the highest revision, nulls included."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from connectors.clickhouse import connect, create_tables, create_views, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.breadth import BREADTH
from tests.stores import store_process

_COUNTS = [field.name for field in BREADTH.fields if field.name not in (*BREADTH.identity, "trin")]


def test_breadth_current_has_the_highest_revision_of_each_interval(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for universe in ("ALL", "sector:Energy"):
        for minute in range(1, 30):
            for revision in range(int(rng.integers(1, 4))):
                counts = {name: float(rng.integers(0, 9)) for name in _COUNTS}
                named = {"universe": universe, "interval": "1m", "revision": revision}
                trin = None if rng.random() < 0.4 else float(rng.random())
                rows.append({**named, "ts_event": minute * 60 * 10**9, "trin": trin, **counts})
    rng.shuffle(rows)
    columns = {
        field.name: pa.array([row[field.name] for row in rows]).cast(field.type, safe=False)
        if pa.types.is_integer(field.type)
        else [row[field.name] for row in rows]
        for field in BREADTH.fields
    }
    expected: dict[tuple[object, ...], dict[str, object]] = {}
    for row in sorted(rows, key=lambda row: row["revision"]):
        expected[row["universe"], row["ts_event"]] = row
    path = tmp_path / "store"
    with store_process(path), connect(f"chdb:///{path}") as client:
        create_tables(client)
        create_views(client)
        record = Record(BREADTH.name, 0, 0, 1, None, (), None)
        landed = landed_table(BREADTH, [Decoded(record, BREADTH.batch(columns))])
        insert(client, BREADTH, landed, "breadth")
        found = client.query_arrow(
            f"SELECT universe, toUnixTimestamp64Nano(ts_event) AS end, revision, trin, {', '.join(_COUNTS)} "
            "FROM breadth_current"
        ).to_pylist()
    assert len(found) == len(expected)
    for row in found:
        wanted = expected[row["universe"], row["end"]]
        assert {name: row[name] for name in ("revision", "trin", *_COUNTS)} == {
            name: wanted[name] for name in ("revision", "trin", *_COUNTS)
        }
    assert any(row["trin"] is None for row in found)
