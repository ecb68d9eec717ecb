"""Charts: what is drawn is what the store has, in HTML that needs no network and in a PNG."""

import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from serving.chart import candlesticks

_MINUTE_NS = 60 * 10**9
_OPEN_NS = 1_381_152_600_000_000_000


def walk(rows: int) -> pl.DataFrame:
    """Bars of a random walk around 100; one has no prices."""
    rng = np.random.default_rng(5)
    close = 100 + np.cumsum(rng.normal(0, 0.1, rows))
    first = np.concatenate([[100.0], close[:-1]])
    bars = pl.DataFrame(
        {
            "ts_event": _OPEN_NS + np.arange(rows) * _MINUTE_NS,
            "open": first,
            "high": np.maximum(first, close) + 0.05,
            "low": np.minimum(first, close) - 0.05,
            "close": close,
            "volume": rng.integers(1, 900, rows).astype(float),
        }
    ).with_columns(pl.col("ts_event").cast(pl.Datetime("ns", "UTC")))
    absent = pl.int_range(pl.len()) == 7
    return bars.with_columns(
        pl.when(absent).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )


def named(bars: pl.DataFrame, name: str, value: float) -> pl.DataFrame:
    return bars.select(
        "ts_event", pl.lit(name).alias("name"), (pl.col("volume") * 0 + value).alias("value")
    )


def test_indicators_in_the_range_of_prices_lie_over_the_candles_and_others_below() -> None:
    bars = walk(60)
    indicators = pl.concat(
        [
            named(bars, "sma_20", 100.0),
            named(bars, "rsi_14", 55.0),
            named(bars, "macd_12_26_9", 0.1),
            named(bars, "macd_12_26_9_signal", 0.2),
        ]
    )
    told = candlesticks(bars, indicators, title="IBM").to_dict()
    price, volume, *panels = told["vconcat"]
    assert len(price["layer"]) == 3, "wicks, bodies, sma_20"
    assert volume["encoding"]["y"]["field"] == "volume"
    assert [panel["title"] for panel in panels] == ["rsi_14", "macd_12_26_9"]
    assert price["title"] == "IBM"


def test_a_bar_without_prices_is_left_out_and_the_others_follow_without_a_gap() -> None:
    bars = walk(20)
    told = candlesticks(bars).to_dict()
    rows = next(rows for rows in told["datasets"].values() if "high" in rows[0])
    assert [row["bar"] for row in rows] == list(range(19))
    closes = bars["close"].drop_nulls().to_list()
    assert [row["close"] for row in rows] == pytest.approx(closes)


def test_the_page_needs_no_network_and_the_picture_is_one(tmp_path: Path) -> None:
    drawn = candlesticks(walk(30))
    drawn.save(str(tmp_path / "chart.html"), inline=True)
    drawn.save(str(tmp_path / "chart.png"))
    page = (tmp_path / "chart.html").read_text()
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)
    head = (tmp_path / "chart.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert width > 900
    assert height > 400


def test_the_verb_tells_which_bars_there_are(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "serving.cli", "chart", "IBM"],
        env={"TAPEFLOW_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert told.returncode == 1
    assert "tapeflow: " in told.stderr
    assert "Traceback" not in told.stderr
