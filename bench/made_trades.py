"""Trades that a seed makes, and their watermarks, as records of a log."""

import numpy as np
import pyarrow as pa

from connectors.log import Log, NewRecord
from connectors.records import rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from schemas.field import TIMESTAMP
from schemas.market import TRADES

SYMBOLS = 500
# Of one log record, and how much event time it takes: 20,000 trades a second in all.
RECORD_ROWS = 5_000
_NS_PER_S = 1_000_000_000
_RECORD_NS = _NS_PER_S // 4
_START_NS = 1_704_205_800_000_000_000


def fill(log: Log, trades: int) -> None:
    """Trades of 500 symbols, 20,000 a second of event time, and watermarks that close their minutes."""
    create_topics(log, 1)
    records = trades // RECORD_ROWS
    for at in range(0, records, 16):
        log.append([trades_record(one) for one in range(at, min(at + 16, records))])
    log.append([closing_record(records)])


def trades_record(at: int) -> NewRecord:
    """A record of trades in order of time, prices walking."""
    rng = np.random.default_rng(at)
    symbols = rng.integers(0, SYMBOLS, RECORD_ROWS).astype(np.int32)
    times = _START_NS + at * _RECORD_NS + np.sort(rng.integers(0, _RECORD_NS, RECORD_ROWS))
    names = [f"S{number:03}" for number in range(SYMBOLS)]
    yes = np.ones(RECORD_ROWS, dtype=np.bool_)
    columns = {
        "symbol": pa.DictionaryArray.from_arrays(pa.array(symbols), names),
        "venue": pa.DictionaryArray.from_arrays(np.zeros(RECORD_ROWS, np.int32), ["X"]),
        "action": pa.DictionaryArray.from_arrays(np.zeros(RECORD_ROWS, np.int32), ["new"]),
        "ts_event": pa.array(times, pa.int64()).cast(TIMESTAMP),
        "ts_recv": pa.array(times, pa.int64()).cast(TIMESTAMP),
        "price": 100.0 + symbols + rng.normal(0, 0.1, RECORD_ROWS),
        "size": np.full(RECORD_ROWS, 100.0),
        **dict.fromkeys(("updates_high_low", "updates_last", "updates_volume"), yes),
    }
    return rows_record(TRADES, 0, TRADES.batch(columns))


def closing_record(at: int) -> NewRecord:
    """Watermark rows that close all minutes before a record's time, and that one's."""
    time = _START_NS + at * _RECORD_NS
    keys = [f"S{number:03}" for number in range(SYMBOLS)]
    batch = watermarks_batch(keys, np.full(SYMBOLS, time - time % (60 * _NS_PER_S)))
    return watermarks_record(TRADES.name, 0, batch)
