"""Results of `tapeflow quality` as rows of a topic and as a page, of measures made by hand."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.log import FencedError, Log
from connectors.quality_measures import MEASURES, Measured
from connectors.topics import create_topics
from schemas.market import TRADES
from schemas.quality import checks
from serving import quality
from serving.quality import record, results
from serving.quality_page import write_page
from serving.quality_suites import judge
from serving.settings import Settings

MONDAY = 15_985  # 2013-10-07, days since 1970


def test_other_findings_of_the_same_rows_are_told_and_not_appended(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 2)
    batch = results(*_measured_by_hand(observed=0.0), "lake")
    assert record(sqlite_log, batch) == (1, 0)
    assert record(sqlite_log, batch) == (0, 0)
    assert record(sqlite_log, results(*_measured_by_hand(observed=3.0), "lake")) == (0, 1)


def test_of_two_that_record_at_the_same_time_one_does_it(
    sqlite_log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(sqlite_log, 2)
    batch = results(*_measured_by_hand(observed=0.0), "lake")
    scan = quality.scan_rows

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(quality, "scan_rows", scan)
        assert record(sqlite_log, batch) == (1, 0)
        return iter(())

    monkeypatch.setattr(quality, "scan_rows", meanwhile)
    with pytest.raises(FencedError):
        record(sqlite_log, batch)
    assert record(sqlite_log, batch) == (0, 0)


def test_what_is_no_number_does_not_pass() -> None:
    measured, judged = _measured_by_hand(float("nan"), "AIG", "volume of 20 days")
    assert judged.select("status", "observed", "note").rows() == [
        ("not_judged", None, "what was observed is no number")
    ]
    assert results(measured, judged, "lake").column("observed").to_pylist() == [None]


def test_a_symbol_that_looks_like_a_style_or_a_script_is_shown_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol = "[/x]<script>alert(1)</script>:bar:"
    batch = results(*_measured_by_hand(99.0, symbol, "jump of 10 sigma"), "lake")
    found = quality.Found(results=batch, appended=0, changed=0, empty=[])
    monkeypatch.setattr(quality, "quality", lambda *_: found)
    page, out = tmp_path / "page.html", io.StringIO()
    monkeypatch.setenv("COLUMNS", "400")
    asked = quality.QualityRequest(
        topics=(), targets=(), first_day=None, last_day=None, page=page, record=False
    )
    assert quality.run_quality(Settings(), asked, as_json=False, out=out) == 1
    assert symbol in out.getvalue()
    assert "<script>" not in page.read_text()
    assert "[/x]&lt;script&gt;alert(1)&lt;/script&gt;:bar:" in page.read_text()


def _measured_by_hand(
    observed: float, symbol: str | None = None, check: str = "price given"
) -> tuple[Measured, pl.DataFrame]:
    row = {
        "day": MONDAY,
        "check": check,
        "symbol": symbol,
        "rows": 5,
        "unexpected": int(observed > 0),
        "observed": observed,
        "position": "0:1",
    }
    measures = pl.DataFrame([row], schema=MEASURES)
    days = pl.DataFrame({"day": [MONDAY], "rows": [5], "position": ["0:1"]})
    measured = Measured(topic=TRADES, checks=checks(TRADES), days=days, measures=measures)
    return measured, judge([measured])[0]


def test_a_page_escapes_what_it_shows_and_is_the_same_for_the_same_results(tmp_path: Path) -> None:
    measured, judged = _measured_by_hand(observed=3.0)
    judged = judged.with_columns(symbol=pl.lit("<script>"))
    for name in ("one.html", "two.html"):
        write_page(tmp_path / name, results(measured, judged, "lake"), ["<b>"])
    one = (tmp_path / "one.html").read_text()
    assert one == (tmp_path / "two.html").read_text()
    assert "<script>" not in one
    assert "&lt;script&gt;" in one
