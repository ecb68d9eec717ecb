"""Parameters are the same to a run and to its replay."""

import numpy as np
import pyarrow as pa

from connectors.log import Log
from connectors.records import rows_record
from connectors.topics import create_topics
from flows.bars_rolled import BarsRolled, BarsRolledParams
from flows.engines.compare import compare
from flows.engines.local import run_until_end
from schemas.bars import BARS


def test_a_replay_gives_the_same_order_however_a_table_of_parameters_was_written(
    sqlite_log: Log,
) -> None:
    """Two windows that end at once are written in order of the parameters' keys."""
    create_topics(sqlite_log, 1)
    starts = np.arange(24 * 12, dtype=np.int64) * 300 * 10**9
    sqlite_log.append([rows_record(BARS, 0, _bars(starts))])
    params = BarsRolledParams(intervals={"2h": "5m", "1h": "5m"})
    run_until_end(sqlite_log, [BarsRolled], {"bars_rolled": params})
    (found,) = compare(sqlite_log, BarsRolled, 0)
    assert found.in_log.rows > 30
    assert found.identical, found.difference


def _bars(starts: np.ndarray) -> pa.RecordBatch:
    count = len(starts)
    price = pa.array(np.full(count, 10.0))
    ends = pa.array(starts + 300 * 10**9)
    return BARS.batch(
        {
            "symbol": ["A"] * count,
            "interval": ["5m"] * count,
            "ts_event": ends,
            "ts_start": pa.array(starts),
            **dict.fromkeys(("open", "high", "low", "close", "vwap"), price),
            "volume": price,
            "trade_count": pa.array(np.ones(count, np.int64)),
            "buy_volume": price,
            "sell_volume": price,
        }
    )
