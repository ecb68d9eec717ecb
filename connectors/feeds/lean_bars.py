"""US equity bars in QuantConnect/LEAN's zips into `vendor_bars`: minute, hour and daily.

``minute/aig/20131007_trade.zip`` and ``…_quote.zip`` (members ``20131007_aig_minute_trade.csv``): milliseconds since
midnight in New York at which the bar begins; open, high, low, close and volume, or the same of the bid with its last size and
of the ask with its last size, which are two rows. ``hour/aapl.zip`` and ``daily/aapl.zip`` (members ``aapl.csv``): the bar's
begin in New York, as ``19980102 09:00``; open, high, low, close, volume, not adjusted. Prices are USD times 10,000.

A daily bar goes from midnight to midnight in New York. Prices are of all US venues together: the venue is null.
"""

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.categories import coded, constant
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import milliseconds, new_york_midnight, new_york_midnights, no_days
from schemas.arrays import Bools, Int64s
from schemas.field import FLOAT, TIMESTAMP
from schemas.vendor_bars import VENDOR_BARS

_MINUTE = re.compile(
    r"(?P<date>\d{8})_(?P<symbol>.+)_minute_(?P<kind>trade|quote)\.csv", re.IGNORECASE
)
_HISTORY = re.compile(r"(?P<symbol>[^_]+)\.csv", re.IGNORECASE)
_TRADE_LINE = re.compile(rb"\d+(,\d+){5}")
_QUOTE_LINE = re.compile(rb"\d+(,\d+){10}")
_HISTORY_LINE = re.compile(rb"\d{8} (?P<time>\d\d:\d\d)(,\d+){5}")
_MINUTE_NS, _HOUR_NS = 60_000_000_000, 3_600_000_000_000
_PRICE_SCALE = 10_000.0
_PRICES = ("open", "high", "low", "close")
_TRADE_NAMES = (*_PRICES, "volume")
_QUOTE_NAMES = tuple(
    f"{side}_{name}" for side in ("bid", "ask") for name in (*_PRICES, "close_size")
)
_INT = pa.int64()


class LeanBars(Format):
    """LEAN's equity bars."""

    name = "lean_bars"
    summary = "LEAN equity bars, minute/SYMBOL/YYYYMMDD_{trade,quote}.zip, {hour,daily}/SYMBOL.zip"

    def matches(self, probe: Probe) -> bool:
        """Whether member and first line are those of bars."""
        minute = _MINUTE.fullmatch(probe.member)
        if minute is not None:
            line = _QUOTE_LINE if minute["kind"].lower() == "quote" else _TRADE_LINE
            return line.fullmatch(probe.first_line) is not None
        named = _HISTORY.fullmatch(probe.member) is not None
        return named and _HISTORY_LINE.fullmatch(probe.first_line) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file of bars."""
        minute, history = _MINUTE.fullmatch(probe.member), _HISTORY.fullmatch(probe.member)
        if minute is not None:
            layout = _minute(minute)
        elif history is not None:
            layout = _history(history["symbol"].upper(), probe)
        else:
            raise FeedError(
                f"{probe}: its member is not named as bars are, such as 20131007_aig_minute_trade.csv or "
                "aapl.csv; symbol and date are taken from it"
            )
        return (TextSource(probe.path, layout, block_bytes),)


def _minute(named: re.Match[str]) -> Layout:
    quotes = named["kind"].lower() == "quote"
    names = _QUOTE_NAMES if quotes else _TRADE_NAMES
    build: Callable[..., Rows] = _quote_minutes if quotes else _trade_minutes
    columns = {"ms": _INT} | dict.fromkeys(names, _INT)
    return Layout(
        topic=VENDOR_BARS,
        columns=columns,
        build=partial(
            build,
            symbol=named["symbol"].upper(),
            midnight_ns=new_york_midnight(named["date"]),
        ),
        required=tuple(columns) if not quotes else ("ms",),
        rows_per_line=2 if quotes else 1,
    )


def _history(symbol: str, probe: Probe) -> Layout:
    folder = probe.path.absolute().parent.name.lower()
    line = _HISTORY_LINE.fullmatch(probe.first_line)
    # Elsewhere than in LEAN's folders, bars that begin at midnight are daily.
    daily = folder == "daily" or (
        folder != "hour" and line is not None and line["time"] == b"00:00"
    )
    columns = {"time": pa.string()} | dict.fromkeys(_TRADE_NAMES, _INT)
    return Layout(
        topic=VENDOR_BARS,
        columns=columns,
        build=partial(_history_bars, symbol=symbol, daily=daily),
        required=tuple(columns),
    )


def _trade_minutes(columns: pa.RecordBatch, *, symbol: str, midnight_ns: int) -> Rows:
    starts, refused = milliseconds(columns, midnight_ns)
    ts_start = starts.view(_INT).to_numpy(zero_copy_only=False)
    return _trade_bars(columns, symbol, "1m", ts_start, ts_start + _MINUTE_NS, refused)


def _history_bars(columns: pa.RecordBatch, *, symbol: str, daily: bool) -> Rows:
    # As seconds on a clock in New York; times of day are added to that day's midnight.
    clock = pc.strptime(
        columns.column("time"), format="%Y%m%d %H:%M", unit="s", error_is_null=True
    ).cast(_INT)
    bad = clock.is_null().to_numpy(zero_copy_only=False)
    days, seconds = np.divmod(pc.fill_null(clock, 0).to_numpy(zero_copy_only=False), 86_400)
    bad |= no_days(days)
    days[bad] = 0
    ts_start = new_york_midnights(days) + seconds * 1_000_000_000
    ts_event = new_york_midnights(days + 1) if daily else ts_start + _HOUR_NS
    refused = {"column time: such as 19980102 09:00 was needed": bad}
    return _trade_bars(columns, symbol, "1d" if daily else "1h", ts_start, ts_event, refused)


def _trade_bars(
    columns: pa.RecordBatch,
    symbol: str,
    interval: str,
    ts_start: Int64s,
    ts_event: Int64s,
    refused: dict[str, Bools],
) -> Rows:
    rows = columns.num_rows
    values = {name: pc.divide(_float(columns.column(name)), _PRICE_SCALE) for name in _PRICES}
    batch = VENDOR_BARS.batch(
        {
            "symbol": constant(symbol, rows),
            "interval": constant(interval, rows),
            "price_type": constant("trade", rows),
            "ts_event": pa.array(ts_event).view(TIMESTAMP),
            "ts_start": pa.array(ts_start).view(TIMESTAMP),
            "ts_recv": pa.array(ts_event).view(TIMESTAMP),
            **values,
            "volume": _float(columns.column("volume")),
        }
    )
    return Rows(batch=batch, refused=refused)


def _quote_minutes(columns: pa.RecordBatch, *, symbol: str, midnight_ns: int) -> Rows:
    starts, refused = milliseconds(columns, midnight_ns)
    # Two rows of each line, the bid before the ask.
    ts_start = np.repeat(starts.view(_INT).to_numpy(zero_copy_only=False), 2)
    ts_event = pa.array(ts_start + _MINUTE_NS).view(TIMESTAMP)
    rows = len(ts_start)
    both = pa.array(np.arange(rows) // 2 + (np.arange(rows) % 2) * columns.num_rows)
    values = {
        name: _float(
            pa.concat_arrays([columns.column(f"bid_{name}"), columns.column(f"ask_{name}")])
        ).take(both)
        for name in (*_PRICES, "close_size")
    }
    prices = {name: pc.divide(values[name], _PRICE_SCALE) for name in _PRICES}
    batch = VENDOR_BARS.batch(
        {
            "symbol": constant(symbol, rows),
            "interval": constant("1m", rows),
            "price_type": coded(np.arange(rows) % 2, ("bid", "ask")),
            "ts_event": ts_event,
            "ts_start": pa.array(ts_start).view(TIMESTAMP),
            "ts_recv": ts_event,
            **prices,
            "close_size": values["close_size"],
        }
    )
    twice = {reason: np.repeat(bad, 2) for reason, bad in refused.items()}
    return Rows(batch=batch, refused=twice)


def _float(numbers: pa.Array) -> pa.Array:
    """Whole numbers as floats; beyond 2**53 the nearest, as for any other text of a number."""
    return numbers.cast(FLOAT, safe=False)
