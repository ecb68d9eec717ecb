"""Rows of trades, quotes and bars for tests of landing: seeded, over two dates."""

import numpy as np
import pyarrow as pa

from connectors.log import Log
from connectors.records import Partitioner, rows_record, watermarks_batch, watermarks_record
from schemas.market import TRADES
from schemas.topic import Topic

MIDNIGHT_NS = 1_709_337_600_000_000_000  # 2024-03-02T00:00Z


def trades_batch(rng: np.random.Generator, rows: int, *, start_ns: int) -> pa.RecordBatch:
    """Trades of 20 symbols in order of time, a millisecond apart."""
    times = start_ns + np.arange(rows) * 1_000_000

    def one_of(values: list[str | None]) -> pa.Array:
        picked = rng.integers(0, len(values), rows)
        return pa.array([values[at] for at in picked], pa.string()).dictionary_encode()

    return TRADES.batch(
        {
            "symbol": one_of([f"S{i}" for i in range(20)]),
            "venue": one_of(["N", "Q"]),
            "ts_event": times,
            "ts_recv": times + 50,
            "price": np.round(rng.uniform(10, 20, rows), 2),
            "size": rng.integers(1, 9, rows).astype(float) * 100,
            "side": one_of(["buy", "sell", None]),
            "updates_high_low": rng.random(rows) < 0.9,
            "updates_last": rng.random(rows) < 0.9,
            "updates_volume": rng.random(rows) < 0.9,
            "trade_id": [None if i % 5 == 0 else f"t{i}" for i in range(rows)],
            "action": ["new"] * rows,
        }
    )


def append_trades(log: Log, seed: int, records: int, *, rows: int = 40) -> int:
    """Append records around midnight, with a watermark record behind each tenth; the rows appended."""
    rng = np.random.default_rng(seed)
    partitioner = Partitioner(log.topics()["trades"].partitions)
    start_ns = MIDNIGHT_NS - records * rows * 500_000
    for number in range(records):
        batch = trades_batch(rng, rows, start_ns=start_ns + number * rows * 1_000_000)
        log.append(
            [
                rows_record(TRADES, partition, part, headers=(("source", b"test"),))
                for partition, part in partitioner.split(batch.column("symbol"), batch)
            ]
        )
        if number % 10 == 9:
            marks = watermarks_batch(["S1"], np.array([start_ns]))
            log.append([watermarks_record("trades", partitioner.of("S1"), marks)])
    return records * rows


def positions(topic: Topic, log: Log) -> set[tuple[int, int, int]]:
    """Partition, offset and row of every row that the log has."""
    from connectors.scan import scan_rows  # noqa: PLC0415 - keeps this module's imports to schemas

    return {
        (partition, record.offset, row)
        for partition in range(log.topics()[topic.name].partitions)
        for record, batch in scan_rows(log, topic, partition)
        for row in range(batch.num_rows)
    }
