"""What is learned from bars, against Polars over the same bars."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest

from flows.kernels.volume_curves import BIN_NS, BINS
from flows.trading.algorithms.volume_curves import VolumeCurves, curve_weights
from schemas.bars import BARS

MINUTE = 60_000_000_000
MIDNIGHT = 1_381_118_400_000_000_000  # 2013-10-07 04:00 UTC, midnight in New York
DAY = 86_400_000_000_000


def bars(frame: pl.DataFrame) -> pa.RecordBatch:
    """Rows of ``bars`` from symbol, interval, ts_start, length, close and volume."""
    count = frame.height
    prices = frame["close"].to_arrow()
    return BARS.batch(
        {
            "symbol": frame["symbol"].to_arrow(),
            "interval": frame["interval"].to_arrow(),
            "ts_event": frame["ts_start"].to_numpy() + frame["length"].to_numpy(),
            "ts_start": frame["ts_start"].to_numpy(),
            **dict.fromkeys(("open", "high", "low", "close", "vwap"), prices),
            "volume": frame["volume"].to_numpy(),
            "trade_count": np.ones(count, np.int64),
            "buy_volume": np.zeros(count),
            "sell_volume": np.zeros(count),
        }
    )


def random_bars(seed: int, days: int) -> pl.DataFrame:
    """Minutes of three symbols from 9:30 to 16:00, some without a close, and bars of other lengths among them."""
    rng = np.random.default_rng(seed)
    frames = []
    for day in range(days):
        minutes = MIDNIGHT + day * DAY + np.arange(570, 960) * MINUTE
        for symbol in ("IBM", "AIG", "BAC"):
            close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(minutes))))
            close[rng.random(len(minutes)) < 0.1] = np.nan
            frames.append(
                pl.DataFrame(
                    {
                        "symbol": [symbol] * len(minutes),
                        "interval": ["1m"] * len(minutes),
                        "ts_start": minutes,
                        "length": [MINUTE] * len(minutes),
                        "close": close,
                        "volume": rng.integers(0, 9_000, len(minutes)).astype(float),
                    }
                )
            )
    frame = pl.concat(frames)
    other = frame.with_columns(pl.lit("5m").alias("interval"), pl.col("volume") * 7)
    return pl.concat([frame, other]).with_columns(pl.col("close").fill_nan(None)).sort("ts_start")


def reference(frame: pl.DataFrame, symbol: str, before: int) -> dict[str, object]:
    own = frame.filter(
        (pl.col("symbol") == symbol) & (pl.col("interval") == "1m") & (pl.col("ts_start") < before)
    ).with_columns(((pl.col("ts_start") - MIDNIGHT) // DAY).alias("day"))
    volume = own.group_by("day").agg(pl.col("volume").sum())["volume"]
    bins = own.group_by(
        "day", (((pl.col("ts_start") - MIDNIGHT) % DAY) // BIN_NS).alias("bin")
    ).agg(pl.col("volume").sum())
    part = bins.with_columns(pl.col("volume") / pl.col("volume").sum().over("day"))
    shares = np.zeros(BINS)
    for row in part.group_by("bin").agg(pl.col("volume").sum()).rows():
        shares[row[0]] = row[1] / len(volume)
    squares = (
        own.drop_nulls("close")
        .with_columns(pl.col("close").log().diff().over("day").pow(2).alias("square"))
        .drop_nulls("square")
        .group_by("day")
        .agg(pl.col("square").mean() / 60)["square"]
    )
    return {
        "days": len(volume),
        "volume": volume.mean(),
        "volatility": float(np.sqrt(squares.mean())),
        "shares": shares,
    }


@pytest.mark.parametrize("cut", [10_000, 7, 1])
def test_curves_are_those_of_the_days_before(cut: int) -> None:
    frame = random_bars(3, 4)
    batch = bars(frame)
    curves = VolumeCurves(None)
    for begin in range(0, batch.num_rows, cut):
        curves.take(batch.slice(begin, cut))
        if cut > 1 and begin % 5 == 0:
            curves = VolumeCurves(orjson.loads(orjson.dumps(curves.saved())))
    for symbol in ("IBM", "AIG", "BAC"):
        found = curves.of(symbol)
        expected = reference(frame, symbol, MIDNIGHT + 3 * DAY)
        assert found["days"] == expected["days"] == 3
        assert found["volume"] == pytest.approx(expected["volume"])
        assert found["volatility"] == pytest.approx(expected["volatility"])
        assert found["shares"] == pytest.approx(expected["shares"])


def test_the_cut_of_the_bars_does_not_show_in_any_byte() -> None:
    batch = bars(random_bars(4, 3))
    whole, parts = VolumeCurves(None), VolumeCurves(None)
    whole.take(batch)
    for begin in range(0, batch.num_rows, 11):
        parts.take(batch.slice(begin, 11))
    assert orjson.dumps(whole.saved()) == orjson.dumps(parts.saved())


def test_a_symbol_without_a_day_that_is_over_has_no_curve() -> None:
    curves = VolumeCurves(None)
    assert curves.of("IBM") is None
    curves.take(bars(random_bars(5, 1)))
    assert curves.of("IBM") is None


def test_old_days_fade() -> None:
    """Forty days at noon, then forty at one: little is left of noon after more days than it remembers."""
    curves = VolumeCurves(None)
    # In spring, so that no clock is changed meanwhile.
    april = MIDNIGHT - 180 * DAY
    for day in range(80):
        hour = 12 if day < 40 else 13
        start = april + day * DAY + hour * 3_600_000_000_000
        row = pl.DataFrame(
            {
                "symbol": ["IBM"],
                "interval": ["1m"],
                "ts_start": [start],
                "length": [MINUTE],
                "close": [100.0],
                "volume": [1_000.0],
            }
        )
        curves.take(bars(row))
    shares = curves.of("IBM")["shares"]
    assert sum(shares) == pytest.approx(1.0)
    assert 0 < shares[72] < 0.35
    assert shares[78] == pytest.approx(1 - shares[72])


def test_weights_between_times_are_parts_of_the_bins() -> None:
    shares = [0.0] * BINS
    shares[60], shares[61] = 0.5, 0.5
    ten = MIDNIGHT + 10 * 3_600_000_000_000
    edges = [ten - 5 * MINUTE, ten, ten + 2 * MINUTE, ten + 15 * MINUTE, ten + 30 * MINUTE]
    assert curve_weights(shares, edges) == pytest.approx([0.0, 0.1, 0.65, 0.25])


def test_weights_of_a_whole_day_are_the_whole() -> None:
    shares = [1 / BINS] * BINS
    edges = [MIDNIGHT + at * DAY // 5 for at in range(8)]
    assert curve_weights(shares, edges) == pytest.approx([0.2] * 7)


def test_real_days_are_learned(shared: Path) -> None:
    """LEAN's minute bars of IBM: opening and close trade more than noon."""
    curves = VolumeCurves(None)
    folder = shared / "ohlcv" / "us_equity_bars" / "minute" / "ibm"
    for day, date in enumerate(("20131007", "20131008", "20131009")):
        frame = pl.read_csv(
            _member(folder / f"{date}_trade.zip"),
            has_header=False,
            new_columns=["ms", "open", "high", "low", "close", "volume"],
        )
        curves.take(
            bars(
                frame.select(
                    pl.lit("IBM").alias("symbol"),
                    pl.lit("1m").alias("interval"),
                    (MIDNIGHT + day * DAY + pl.col("ms") * 1_000_000).alias("ts_start"),
                    pl.lit(MINUTE).alias("length"),
                    (pl.col("close") / 10_000).alias("close"),
                    pl.col("volume").cast(pl.Float64),
                )
            )
        )
    found = curves.of("IBM")
    assert found["days"] == 2
    hours = [sum(found["shares"][at : at + 6]) for at in range(57, 93, 6)]
    assert hours[0] > 1.5 * hours[3]
    assert hours[-1] > hours[3]
    # About one percent a day.
    assert 0.003 < found["volatility"] * np.sqrt(23_400) < 0.03
    assert all(before <= after for before, after in pairwise(np.cumsum(found["shares"])))


def _member(path: Path) -> bytes:
    import zipfile  # noqa: PLC0415 - one test needs it

    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])
