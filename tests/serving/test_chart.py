"""Charts: what is drawn is what the store has, in HTML that needs no network and in a PNG."""

import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from connectors.clickhouse import connect, create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.bars import BARS
from serving.chart import ChartError, ChartOptions, candlesticks, desk_chart
from serving.client import Desk
from serving.settings import Settings
from tests.stores import store_process

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


def land(settings: Settings, symbol: str) -> None:
    """59 minutes' bars of a symbol, in a store that runs."""
    bars = walk(60).drop_nulls()
    rows = bars.with_columns(
        pl.lit(symbol).alias("symbol"),
        pl.lit("1m").alias("interval"),
        (pl.col("ts_event") - pl.duration(minutes=1)).alias("ts_start"),
        pl.lit(1, pl.Int64).alias("trade_count"),
        pl.lit(0.0).alias("buy_volume"),
        pl.lit(0.0).alias("sell_volume"),
    )
    batch = BARS.batch({name: rows[name].to_arrow() for name in rows.columns})
    record = Record(BARS.name, 0, 0, _OPEN_NS, None, (), None)
    with connect(settings.store) as client:
        create_tables(client)
        insert(client, BARS, landed_table(BARS, [Decoded(record, batch)]), "bars")


def test_the_times_of_a_chart_are_iso_as_its_help_says(tmp_path: Path) -> None:
    """``2013-10-07T13:30``, the example of the verb's help, was refused: ClickHouse would have seconds, and no zone."""
    settings = Settings(home=tmp_path)
    with store_process(settings.home / "store"), Desk(settings) as desk:
        land(settings, "IBM")

        def drawn(start: str, end: str | None) -> int:
            told = desk_chart(desk, ChartOptions(symbol="IBM", start=start, end=end)).to_dict()
            return len(next(rows for rows in told["datasets"].values() if "high" in rows[0]))

        assert drawn("2013-10-07", None) == 59
        assert drawn("2013-10-07T13:40", "2013-10-07T13:50:00.000000001") == 11
        assert drawn("2013-10-07T09:40:00-04:00", "2013-10-07T13:50:00Z") == 10
        # July was drawn where October was meant, today where a time of the bars' day was; the others in
        # ClickHouse's words.
        for wrong in ("10/07/2013", "13:30", "yesterday", "2300-01-01"):
            with pytest.raises(ChartError, match=f"'{wrong}' is no time: one from 1678"):
                drawn(wrong, None)
            with pytest.raises(ChartError, match="is no time"):
                drawn("2013-10-07", wrong)


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


def verb(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """What `tapeflow chart` gives where its folder is the home."""
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", "chart", *arguments],
        env={"TAPEFLOW_HOME": str(home), "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )


def test_a_pair_s_chart_lies_here_or_in_a_folder_that_is_made(tmp_path: Path) -> None:
    """Of Alpaca's ``BTC/USD`` there was no chart: the slash in its name was a folder that is not there."""
    settings = Settings(home=tmp_path)
    with store_process(settings.home / "store"):
        land(settings, "BTC/USD")
        usual = verb("BTC/USD", home=tmp_path)
        asked = verb("BTC/USD", "--out", "charts/today/coin", home=tmp_path)
    assert (usual.stdout, usual.stderr) == ("chart-BTC_USD-1m.html\nchart-BTC_USD-1m.png\n", "")
    assert (tmp_path / "chart-BTC_USD-1m.png").stat().st_size > 10_000
    assert asked.stdout == "charts/today/coin.html\ncharts/today/coin.png\n"
    assert (tmp_path / "charts/today/coin.html").stat().st_size > 100_000


def test_the_verb_tells_which_bars_there_are(tmp_path: Path) -> None:
    told = verb("IBM", home=tmp_path)
    assert told.returncode == 1
    assert "tapeflow: " in told.stderr
    assert "Traceback" not in told.stderr
