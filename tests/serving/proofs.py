"""A log on which the flows have run and everything has landed, for tests that then break one thing."""

from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from connectors.lander import Lander
from connectors.log import Log, NewRecord
from connectors.records import rows_record
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.indicators import Indicators
from flows.intake import Intake
from schemas.field import TIMESTAMP
from schemas.market import TRADES
from tests.conformity.workload import START_NS, topic_rows


def trade(number: int) -> bytes:
    """A trade as another program would write it to the inbox."""
    row = {"symbol": "AIG", "venue": "N", "ts_event": START_NS + number, "price": 1.5, "size": 2.0}
    return orjson.dumps(row)


def trades_fed() -> pa.RecordBatch:
    """The trades of `worked`; the first five of them come again at its end, two days late."""
    return topic_rows(TRADES, np.random.default_rng(5), 4_000, 30_000_000_000)


def worked(log: Log, store_url: str, lake: Path) -> None:
    """Feed trades (some of them late) and foreign records (some of them bad), run intake, bars and indicators, land."""
    create_topics(log, 1)
    rows = trades_fed()
    log.append([rows_record(TRADES, 0, rows.slice(at, 500)) for at in range(0, 4_000, 500)])
    log.append([rows_record(TRADES, 0, _two_days_earlier(rows.slice(0, 5)))])
    log.append([NewRecord("trades.in", 0, trade(at)) for at in range(20)])
    log.append([NewRecord("trades.in", 0, b"{bad"), NewRecord("trades.in", 0, None)])
    run_until_end(log, [Intake, Bars, Indicators])
    land(log, store_url, lake)


def _two_days_earlier(rows: pa.RecordBatch) -> pa.RecordBatch:
    at = TRADES.schema.get_field_index("ts_event")
    times = pc.subtract(rows.column(at).cast(pa.int64()), 2 * 86_400_000_000_000).cast(TIMESTAMP)
    return rows.set_column(at, TRADES.schema.field(at), times)


def land(log: Log, store_url: str, lake: Path) -> None:
    """Land what there is."""
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
