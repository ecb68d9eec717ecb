"""Candlestick charts with volume and indicators (Altair): for notebooks, as HTML that needs no network, as PNG."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from connectors.chdb_engine import StoreError
from serving.client import Desk
from serving.settings_sources import load_settings
from serving.times import parse_time_ns

_WIDTH = 900
_HEIGHTS = {"price": 360, "volume": 90, "indicator": 110}
_UP, _DOWN = "#1a9850", "#d73027"
# Marks of a chart that a browser still moves smoothly.
_BARS_MAX = 5_000
# What follows an indicator's parameters, such as _signal in macd_12_26_9_signal: one panel for all.
_OUTPUT = re.compile(r"(?<=\d)_[a-z_]+$")


class ChartError(StoreError):
    """A chart that cannot be drawn; the message says what is missing and how to get it."""


@dataclass(frozen=True, kw_only=True)
class ChartOptions:
    """What a chart shows.

    Parameters
    ----------
    symbol, interval : str
        Whose bars, and which.
    indicators : tuple of str
        Names as in the topic.
    start, end : str or None
        First (inclusive) and last (exclusive) end of a bar, ISO, UTC unless they say otherwise; None for the newest
        5,000 bars.
    """

    symbol: str
    interval: str = "1m"
    indicators: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None


def write_chart(options: ChartOptions, path: Path) -> list[Path]:
    """Draw what the store has; give the HTML and the PNG written.

    Raises
    ------
    ChartError
        Where there are no such bars or indicators, or for what is no time.
    """
    with Desk(load_settings()) as desk:
        drawn = desk_chart(desk, options)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path.with_name(path.name + suffix) for suffix in (".html", ".png")]
    # The libraries are put into the page: it opens without a network, and says the same in ten years.
    drawn.save(str(written[0]), inline=True)
    drawn.save(str(written[1]), scale_factor=2)
    return written


def desk_chart(desk: Desk, options: ChartOptions) -> alt.VConcatChart:
    """The chart of an open platform's bars and indicators."""
    where = {
        "symbol": options.symbol,
        "interval": options.interval,
        "start": _time(options.start or "1970-01-01"),
        "end": _time(options.end or "2262-01-01"),
    }
    bars = desk.sql(_BARS, **where, limit=_BARS_MAX).sort("ts_event")
    if bars.is_empty():
        known = desk.sql("SELECT DISTINCT symbol, interval FROM bars ORDER BY ALL LIMIT 20")
        there = ", ".join(f"{symbol} {interval}" for symbol, interval in known.rows())
        raise ChartError(
            f"no bars of {options.symbol} at {options.interval} in the store for these times; "
            f"there are {there or 'none at all: `tapeflow run` and `tapeflow land` make them'}"
        )
    values = desk.sql(_INDICATORS, **where, names=list(options.indicators))
    missing = set(options.indicators) - set(values["name"].cast(pl.String))
    if missing:
        raise ChartError(
            f"no indicator {', '.join(sorted(missing))} of {options.symbol} at {options.interval}; the setting "
            "flows.indicators says which are computed"
        )
    title = f"{options.symbol} {options.interval}, times in UTC"
    return candlesticks(bars, values, title=title)


def candlesticks(
    bars: pl.DataFrame, indicators: pl.DataFrame | None = None, *, title: str = ""
) -> alt.VConcatChart:
    """Candles, volume, and a panel for each indicator that is not on the scale of prices.

    Parameters
    ----------
    bars : polars.DataFrame
        Rows of topic bars of one symbol and interval in order of ts_event; without prices they are left out.
    indicators : polars.DataFrame or None
        Rows of topic indicators of the same bars (ts_event, name, value).
    title : str
        What stands above.

    Returns
    -------
    altair.VConcatChart
        Bars follow each other without gaps for nights; drag and wheel move and zoom time.
    """
    told = bars.filter(pl.col("close").is_not_null()).with_row_index("bar")
    # A time zone's rules would move the labels to the reader's own zone.
    told = told.with_columns(pl.col("ts_event").dt.strftime("%Y-%m-%d %H:%M:%S").alias("time"))
    axis = _axis(told["time"].to_list())
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    panels = []
    overlays: list[alt.Chart] = []
    if indicators is not None and not indicators.is_empty():
        values = _placed(indicators, told)
        for group, rows in values.group_by("panel", maintain_order=True):
            lines = _lines(rows, axis if not _over(rows, told) else None)
            if _over(rows, told):
                overlays.append(lines)
            else:
                panels.append(
                    lines.properties(
                        width=_WIDTH, height=_HEIGHTS["indicator"], title=str(group[0])
                    )
                )
    price = alt.layer(*_candles(told, axis), *overlays).properties(
        width=_WIDTH, height=_HEIGHTS["price"], title=title
    )
    drawn = [price.add_params(zoom), _volume(told, axis), *panels]
    whole: alt.VConcatChart = (
        alt.vconcat(*drawn, spacing=6)
        .resolve_scale(x="shared", color="independent")
        .configure_view(strokeOpacity=0.2)
    )
    return whole


_BARS = """
SELECT ts_event, open, high, low, close, volume
FROM bars
WHERE symbol = {symbol:String} AND interval = {interval:String}
    AND ts_event >= {start:DateTime64(9, 'UTC')}
    AND ts_event < {end:DateTime64(9, 'UTC')}
ORDER BY ts_event DESC
LIMIT {limit:UInt32}
"""

_INDICATORS = """
SELECT ts_event, name, value
FROM indicators
WHERE symbol = {symbol:String} AND interval = {interval:String}
    AND ts_event >= {start:DateTime64(9, 'UTC')}
    AND ts_event < {end:DateTime64(9, 'UTC')}
    AND has({names:Array(String)}, name) AND isNotNull(value)
ORDER BY name, ts_event
"""


def _time(text: str) -> str:
    # ClickHouse would guess: 10/07/2013 is July to it, and 13:30 today.
    try:
        return str(np.datetime64(parse_time_ns(text), "ns"))
    except (ValueError, OverflowError) as error:
        raise ChartError(
            f"{text!r} is no time: one from 1678 to April of 2262 is needed, such as 2013-10-07 or "
            "2013-10-07T13:30 (UTC unless it says otherwise)"
        ) from error


def _axis(times: list[str]) -> alt.Axis:
    labels = ",".join(f"'{time[5:16]}'" for time in times)
    return alt.Axis(
        title=None, labelExpr=f"[{labels}][datum.value] || ''", tickMinStep=1, grid=True
    )


def _x(axis: alt.Axis | None, rows: int) -> alt.X:
    return alt.X("bar:Q", axis=axis, scale=alt.Scale(domain=[-1, rows], nice=False))


def _candles(bars: pl.DataFrame, axis: alt.Axis) -> list[alt.Chart]:
    rising = alt.condition("datum.open <= datum.close", alt.value(_UP), alt.value(_DOWN))
    shown = [alt.Tooltip(f"{name}:Q") for name in ("open", "high", "low", "close", "volume")]
    base = alt.Chart(bars.drop("ts_event")).encode(
        x=_x(axis, bars.height), color=rising, tooltip=[alt.Tooltip("time:N"), *shown]
    )
    prices = alt.Scale(zero=False)
    width = max(1.0, min(12.0, 0.7 * _WIDTH / max(bars.height, 1)))
    return [
        base.mark_rule().encode(y=alt.Y("low:Q", title="price", scale=prices), y2="high:Q"),
        base.mark_bar(size=width).encode(y=alt.Y("open:Q", scale=prices), y2="close:Q"),
    ]


def _volume(bars: pl.DataFrame, axis: alt.Axis) -> alt.Chart:
    rising = alt.condition("datum.open <= datum.close", alt.value(_UP), alt.value(_DOWN))
    width = max(1.0, min(12.0, 0.7 * _WIDTH / max(bars.height, 1)))
    drawn: alt.Chart = (
        alt.Chart(bars.select("bar", "time", "open", "close", "volume"))
        .mark_bar(size=width, opacity=0.6)
        .encode(
            x=_x(axis, bars.height),
            y=alt.Y("volume:Q", title="volume"),
            color=rising,
            tooltip=["time:N", "volume:Q"],
        )
        .properties(width=_WIDTH, height=_HEIGHTS["volume"])
    )
    return drawn


def _placed(indicators: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Indicator values with their bar and the panel that they share."""
    rows = indicators.with_columns(pl.col("name").cast(pl.String)).join(
        bars.select("ts_event", "bar", "time"), on="ts_event"
    )
    panels = {name: _OUTPUT.sub("", name) for name in rows["name"].unique()}
    return rows.with_columns(pl.col("name").replace_strict(panels).alias("panel")).select(
        "bar", "time", "name", "panel", "value"
    )


def _over(rows: pl.DataFrame, bars: pl.DataFrame) -> bool:
    """Whether the values are on the scale of the prices, and so drawn over the candles."""
    low, high, middle = bars["low"].min(), bars["high"].max(), rows["value"].median()
    if not all(isinstance(one, float) for one in (low, high, middle)):
        return False
    values: list[Any] = [low, high, middle]
    room = values[1] - values[0]
    return bool(values[0] - room <= values[2] <= values[1] + room)


def _lines(rows: pl.DataFrame, axis: alt.Axis | None) -> alt.Chart:
    drawn: alt.Chart = (
        alt.Chart(rows)
        .mark_line(strokeWidth=1.2)
        .encode(
            x=alt.X("bar:Q", axis=axis),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("name:N", title=None),
            tooltip=["time:N", "name:N", "value:Q"],
        )
    )
    return drawn
