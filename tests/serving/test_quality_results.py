"""Results of `tapeflow quality` as rows of a topic and as a page, of measures made by hand."""

from pathlib import Path

import polars as pl

from connectors.log import Log
from connectors.quality_measures import MEASURES, Measured
from connectors.topics import create_topics
from schemas.market import TRADES
from schemas.quality import checks
from serving.quality import record, results
from serving.quality_page import write_page
from serving.quality_suites import judge

MONDAY = 15_985  # 2013-10-07, days since 1970


def test_other_findings_of_the_same_rows_are_told_and_not_appended(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 2)
    batch = results(*_measured_by_hand(observed=0.0), "lake")
    assert record(sqlite_log, batch) == (1, 0)
    assert record(sqlite_log, batch) == (0, 0)
    assert record(sqlite_log, results(*_measured_by_hand(observed=3.0), "lake")) == (0, 1)


def _measured_by_hand(observed: float) -> tuple[Measured, pl.DataFrame]:
    row = {
        "day": MONDAY,
        "check": "price given",
        "rows": 5,
        "unexpected": int(observed),
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
