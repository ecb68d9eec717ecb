"""Daily US equity bars of many symbols with adjusted closes, as Alpha Vantage gives them, in one Parquet file.

Columns symbol, date, open, high, low, close, adjusted_close, volume, dividend_amount and split_coefficient. A bar goes
from midnight to midnight in New York of its date. Open to close are as traded; only ``adjusted_close`` is adjusted.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.feeds.categories import constant
from connectors.feeds.columns import ParquetSource
from connectors.feeds.source import Format, Probe, Rows, Source
from connectors.feeds.times import new_york_midnights, no_days
from schemas.field import CATEGORY, FLOAT, TIMESTAMP
from schemas.vendor_bars import VENDOR_BARS

_PRICES = ("open", "high", "low", "close", "adjusted_close", "volume")
_FIELDS = {name: name for name in _PRICES} | {
    "dividend_amount": "dividend",
    "split_coefficient": "split_factor",
}
_COLUMNS = ("symbol", "date", *_FIELDS)


class AdjustedBars(Format):
    """Parquet files of daily bars with adjusted closes."""

    name = "adjusted_bars"
    summary = f"Parquet of daily US equity bars with columns {', '.join(_COLUMNS)}"

    def matches(self, probe: Probe) -> bool:
        """Whether the Parquet file has the columns, or cannot be read, which opening it says."""
        if probe.container != "parquet":
            return False
        try:
            names = pq.read_schema(probe.path).names
        except (pa.ArrowInvalid, OSError):
            return True
        return set(_COLUMNS) <= set(names)

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file."""
        return (ParquetSource(probe.path, VENDOR_BARS, _COLUMNS, _bars, block_bytes),)


def _bars(columns: pa.RecordBatch) -> Rows:
    rows = columns.num_rows
    dates = columns.column("date").cast(pa.date32()).cast(pa.int32())
    missing = dates.is_null().to_numpy(zero_copy_only=False)
    days = dates.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    outside = no_days(days)
    days[outside] = 0
    ts_event = pa.array(new_york_midnights(days + 1)).view(TIMESTAMP)
    batch = VENDOR_BARS.batch(
        {
            "symbol": columns.column("symbol").cast(CATEGORY),
            "interval": constant("1d", rows),
            "price_type": constant("trade", rows),
            "ts_event": ts_event,
            "ts_start": pa.array(new_york_midnights(days)).view(TIMESTAMP),
            "ts_recv": ts_event,
            **{field: columns.column(name).cast(FLOAT) for name, field in _FIELDS.items()},
        }
    )
    refused = {
        "column date must be given": missing,
        "column date: a day from 1900 to 2261 was needed": outside,
    }
    return Rows(batch=batch, refused=refused)
