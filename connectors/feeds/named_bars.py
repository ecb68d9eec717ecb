"""CSV files of bars whose name says what they are: ``gbpusd_m1_bid_2012.csv.gz``, ``btc_perp_1m_20211231.csv``.

The name is the symbol, the interval (``m1`` or ``1m``, ``h1``, ``d1``…), ``bid``, ``ask`` or ``mid`` (else the bars are of
trades), and anything. The first line names the columns ``timestamp,open,high,low,close`` and perhaps ``volume``. A timestamp is
when the bar begins, and UTC where it names no zone. The venue is not said: null.
"""

import re
from functools import partial

import numpy as np
import pyarrow as pa

from connectors.feeds.categories import constant
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import DAY_NS
from schemas.field import FLOAT, TIMESTAMP
from schemas.vendor_bars import VENDOR_BARS

_FILE = re.compile(
    r"(?P<symbol>[a-z0-9][a-z0-9_-]*?)_((?P<unit>[smhd])(?P<count>\d+)|(?P<count2>\d+)(?P<unit2>[smhd]))"
    r"(_(?P<side>bid|ask|mid))?([_.-].*)?\.(csv|csv\.gz|zip)",
    re.IGNORECASE,
)
_UNITS_NS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000, "d": DAY_NS}
_NAMES = ("timestamp", "open", "high", "low", "close", "volume")
_ZONE = re.compile(rb"(Z|[+-]\d\d:?\d\d)$")


class NamedBars(Format):
    """CSV files of bars by name."""

    name = "named_bars"
    summary = "CSV of bars, SYMBOL_1m_bid….csv(.gz) with timestamp,open,high,low,close(,volume)"

    def matches(self, probe: Probe) -> bool:
        """Whether the name says symbol and interval, and the first line the columns of bars."""
        named = _FILE.fullmatch(probe.path.name) is not None
        return named and _columns(probe) in (_NAMES, _NAMES[:-1])

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file of bars."""
        named, names = _FILE.fullmatch(probe.path.name), _columns(probe)
        if named is None or names not in (_NAMES, _NAMES[:-1]):
            raise FeedError(
                f"{probe}: a name such as gbpusd_m1_bid_2012.csv.gz and the columns "
                f"{', '.join(_NAMES[:-1])} and perhaps volume were needed"
            )
        unit = (named["unit"] or named["unit2"]).lower()
        count = int(named["count"] or named["count2"])
        zoned = _ZONE.search(_second_line(probe).split(b",", 1)[0]) is not None
        columns = {"timestamp": TIMESTAMP if zoned else pa.timestamp("ns")}
        columns |= dict.fromkeys(names[1:], FLOAT)
        build = partial(
            _bars,
            symbol=named["symbol"].upper(),
            interval=f"{count}{unit}",
            length_ns=count * _UNITS_NS[unit],
            price_type=(named["side"] or "trade").lower(),
        )
        layout = Layout(
            topic=VENDOR_BARS, columns=columns, build=build, required=names, header=True
        )
        return (TextSource(probe.path, layout, block_bytes),)


def _columns(probe: Probe) -> tuple[str, ...]:
    line = probe.first_line.decode("utf-8-sig", errors="replace")
    return tuple(name.strip().lower() for name in line.split(","))


def _second_line(probe: Probe) -> bytes:
    lines = probe.head.split(b"\n", 2)
    return lines[1].rstrip(b"\r") if len(lines) > 1 else b""


def _bars(
    columns: pa.RecordBatch, *, symbol: str, interval: str, length_ns: int, price_type: str
) -> Rows:
    rows = columns.num_rows
    begins = columns.column("timestamp").view(pa.int64()).to_numpy(zero_copy_only=False)
    ts_event = pa.array(begins + np.int64(length_ns)).view(TIMESTAMP)
    values = {name: columns.column(name) for name in columns.schema.names[1:]}
    batch = VENDOR_BARS.batch(
        {
            "symbol": constant(symbol, rows),
            "interval": constant(interval, rows),
            "price_type": constant(price_type, rows),
            "ts_event": ts_event,
            "ts_start": pa.array(begins).view(TIMESTAMP),
            "ts_recv": ts_event,
            **values,
        }
    )
    return Rows(batch=batch)
