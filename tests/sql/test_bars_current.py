"""The view bars_current on what the flow wrote, against the newest revision laid over each bar in Python."""

from pathlib import Path

import pyarrow as pa

from connectors.clickhouse import connect, create_tables, create_views, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from flows.bars import Bars, BarsParams
from flows.flow import Emit
from schemas.bars import BARS, BARS_REVISED, VALUES
from tests.flows.bars_reference import Mark
from tests.flows.corrected_bars import NOON, SECOND, Run, batch_of
from tests.flows.test_bar_corrections import correction, trade
from tests.flows.trades import rows_of, watermarks
from tests.stores import store_process

NAMES = [value.name for value in VALUES]


def test_bars_current_is_the_newest_revision_of_each_bar(tmp_path: Path) -> None:
    rows = [trade(at, f"{at}", 5.0 + at % 7) for at in range(300)]
    rows += [correction(400, f"{at}", 20.0) for at in range(0, 300, 37)]
    rows += [correction(401, f"{at}", 30.0) for at in range(0, 300, 74)]
    rows += [correction(402, "37", action="cancel")]
    # A whole bar is cancelled: its prices are null.
    rows += [correction(403, f"{at}", action="cancel") for at in range(240, 250)]
    params = BarsParams(intervals=("10s", "1m"))
    expected = Run([*rows, Mark("A", NOON + 900 * SECOND)], params).now

    flow = Bars(params, None)
    given = [
        *flow.on_rows(rows_of(batch_of(rows))),
        *flow.on_watermark(watermarks(["A"], [NOON + 900 * SECOND])),
    ]
    path = tmp_path / "store"
    with store_process(path), connect(f"chdb:///{path}") as client:
        create_tables(client)
        create_views(client)
        record = Record(BARS.name, 0, 0, NOON, None, (), None)
        for topic in (BARS, BARS_REVISED):
            made = [item for item in given if isinstance(item, Emit) and item.topic is topic]
            landed: pa.Table = landed_table(topic, [Decoded(record, item.batch) for item in made])
            insert(client, topic, landed, topic.name)
        found = client.query_arrow(
            "SELECT symbol, interval, toUnixTimestamp64Nano(ts_event) AS end, revision, "
            f"{', '.join(NAMES)} FROM bars_current"
        ).to_pylist()
    assert {
        (row["symbol"], row["interval"], row["end"]): tuple(row[name] for name in NAMES)
        for row in found
    } == expected
    assert len(found) == len(expected)
    assert {row["revision"] for row in found} >= {0, 1, 2}
    assert (None,) * 4 in {tuple(row[name] for name in NAMES[:4]) for row in found}
