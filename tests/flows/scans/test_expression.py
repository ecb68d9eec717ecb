"""The language of scans: what it takes, what it means against Python's own arithmetic, and its errors."""

import math

import numpy as np
import pytest

from flows.kernels.indicators.registry import INDICATORS, choose
from flows.scans.criteria import CRITERIA
from flows.scans.docs import PAGE, page
from flows.scans.evaluate import Columns, compiled
from flows.scans.expression import names, parse
from flows.scans.resolution import Resolved, resolve
from flows.scans.tokens import ScanError

ROWS = {
    "open": [10.0, 10.0, 10.0, math.nan],
    "high": [12.0, 11.0, 10.0, 5.0],
    "low": [9.0, 10.0, 10.0, 4.0],
    "close": [11.0, 10.0, 10.0, 4.5],
    "volume": [1e6, 5e5, 0.0, 2e9],
    "sector": ["Energy", None, "Utilities", "Energy"],
}


def matching(text: str) -> list[int]:
    """Rows that match; each row is of a symbol of its own."""
    scan = compiled("test", text)

    def read(name: str, resolved: Resolved) -> np.ndarray:
        kind = object if resolved.criterion.is_text else float
        return np.array(ROWS[name], dtype=kind)

    columns = Columns(4, read, np.arange(4))
    before = [np.full((4, 2), np.nan) for _ in scan.crossings]
    return np.flatnonzero(columns.truth(scan, scan.tree, before).true).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("close > 10", [0]),
        ("close >= 10 and volume < 1M", [1, 2]),
        ("close > 10 or volume == 2B", [0, 3]),
        ("not close > 10", [1, 2, 3]),
        # The open of the last row is undefined: neither it nor its negation holds.
        ("open > 0", [0, 1, 2]),
        ("not open > 0", []),
        ("open > 0 or low < 5", [0, 1, 2, 3]),
        ("not (open > 0 and low < 5)", [0, 1, 2]),
        # A division by nothing is undefined, not infinite.
        ("(close - low) / (high - low) < 99", [0, 1, 3]),
        ("close - open == 1", [0]),
        ("2 + 3 * 2 == 8 and -2 * -3 == 6 and 10 - 4 - 3 == 3 and close > 0", [0, 1, 2, 3]),
        ("8 / 4 / 2 == 1 and (2 + 3) * 2 == 10 and close > 0", [0, 1, 2, 3]),
        ("100% == 1 and 2% == 0.02 and 1.5K == 1500 and .5e1 == 5 and close > 0", [0, 1, 2, 3]),
        (
            "max(open, close, 10.5) == 11 or min(open, close) == 10 and abs(close - 10) < 1",
            [0, 1, 2],
        ),
        ('sector == "Energy"', [0, 3]),
        ("sector != 'Energy'", [2]),
        ("not sector == 'Energy'", [2]),
        ("range_share > 20%", [0, 3]),
        ("close > 10 AND NOT volume < 5", [0]),
    ],
)
def test_an_expression_means_what_it_says(text: str, rows: list[int]) -> None:
    assert matching(text) == rows


def test_a_crossing_holds_once_and_needs_both_values_at_both_bars() -> None:
    scan = compiled("test", "close crosses above open and not close crosses below open")
    series = {
        "close": [1.0, 2.0, 3.0, 1.0, math.nan, 3.0, 1.0, 1.0, 2.0],
        "open": [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0],
    }
    before = [np.full((1, 2), np.nan) for _ in scan.crossings]
    columns = Columns(9, lambda name, _: np.array(series[name]), np.zeros(9, np.int64))
    truth = columns.truth(scan, scan.tree, before)
    assert np.flatnonzero(truth.true).tolist() == [2, 8]
    # The first bar has none before it, and two lie beside the undefined one.
    assert np.flatnonzero(~truth.true & ~truth.false).tolist() == [0, 4, 5]


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        ("rsy_14 < 30", 1, "is rsi_14 meant"),
        ("close > 5 and volumes > 3", 15, "is volume meant"),
        ("close > sma_0", 9, "period must be a whole number"),
        ("close > high_2521", 9, "at most 2520 bars"),
        ("close + 2", 7, "a condition was needed, this is a number"),
        ("sector", 1, "a condition was needed, this is a text"),
        ("sector < 'Energy'", 1, "< needs a number here, this is a text"),
        ("sector == 5", 11, "== needs a text here, this is a number"),
        ("not close", 5, "not needs a condition here"),
        ("close and volume > 1", 1, "and needs a condition here"),
        ("(close > 1) + 2 > 1", 8, "+ needs a number here, this is a condition"),
        ("close > ", 8, "not the end"),
        ("close > (1 + 2", 15, ") was needed for the ( at 9"),
        ("close > 1 volume", 11, "an operator or the end was needed, not 'volume'"),
        ("close crosses 5", 15, "above or below was needed"),
        ("sqrt(close) > 1", 1, "no function 'sqrt'"),
        ("abs(close, open) > 1", 1, "abs takes 1 values, not 2"),
        ("close > 1 & open > 1", 11, "'&' begins nothing known"),
        ("__import__('os')", 1, "no function '__import__'"),
        ("close.real > 1", 6, "'.' begins nothing known"),
        ("close > 1 and", 14, "not the end"),
        ("", 1, "not the end"),
    ],
)
def test_an_error_says_where_and_what(text: str, position: int, what: str) -> None:
    with pytest.raises(ScanError) as caught:
        compiled("test", text)
    message = str(caught.value)
    assert what in message
    assert f"at character {position}:" in message
    caret = message.splitlines()[-1]
    assert caret.index("^") - 2 == position - 1


@pytest.mark.parametrize("text", ["1 < 2", "'Energy' == 'Energy'", "not 1 crosses above 2"])
def test_an_expression_that_asks_nothing_of_a_symbol_is_refused(text: str) -> None:
    with pytest.raises(ScanError, match="names no criterion"):
        compiled("test", text)


def test_what_is_too_deep_or_too_long_is_refused_before_the_interpreter_gives_up() -> None:
    with pytest.raises(ScanError, match="stand in one another"):
        compiled("test", "(" * 60 + "close" + ")" * 60 + " > 1")
    with pytest.raises(ScanError, match="at most 1000 characters"):
        compiled("test", " and ".join(["close > 1"] * 100))
    longest = " or ".join(["low>1"] * 110)
    assert matching(longest) == [0, 1, 2, 3]


def test_there_are_far_more_than_fifty_criteria_and_all_can_be_asked() -> None:
    assert len(CRITERIA) >= 90
    for name in CRITERIA:
        found = resolve(name.replace("{n}", "20"))
        if found.formula:
            assert names(parse(found.formula))
    for indicator in INDICATORS.values():
        for at, name in enumerate(choose(indicator.default_name).outputs):
            found = resolve(name)
            assert found.series is not None
            assert (found.series.indicator, found.output) == (indicator, at)
            assert found.series.parameters == choose(indicator.default_name).parameters


def test_the_page_lists_what_there_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m flows.scans.docs"
