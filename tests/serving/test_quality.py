"""`tapeflow quality`: what it finds in landed rows with faults planted in them, in ClickHouse and in the lake."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from connectors.log import open_log
from connectors.parquet import FileRange, write_range
from connectors.quality_measures import measure
from connectors.quality_sources import open_source
from connectors.records import rows_record
from connectors.topics import create_topics
from schemas.bars import BARS
from schemas.landed import landed_schema
from schemas.market import QUOTES, TRADES
from schemas.quality import PER_SYMBOL, CheckKind, checks
from schemas.quality_results import QUALITY_RESULTS
from schemas.sessions import DAY_NS
from schemas.topic import Topic
from serving.cli import app
from serving.quality import QualityRequest, quality
from serving.quality_suites import judge, suite
from serving.settings import Settings
from tests.conformity.workload import topic_rows
from tests.elsewhere import elsewhere
from tests.serving.proofs import land
from tests.stores import store_process

OPEN_NS = 1_381_152_600_000_000_000  # 2013-10-07 13:30 UTC, the opening
OPEN_S = 23_400
MONDAY = OPEN_NS // DAY_NS
TARGETS = ("clickhouse", "lake")


def _trades(symbol: str, day: int, seed: int, rows: int = 6_000) -> dict[str, list[object]]:
    """Trades of one open time, a few seconds apart, in a random walk."""
    rng = np.random.default_rng(seed)
    steps_s = rng.uniform(0.5, 1.5, rows)
    times = (
        OPEN_NS + day * DAY_NS + (np.cumsum(steps_s) * OPEN_S / steps_s.sum() * 1e9).astype(int) - 1
    )
    prices = 50 * np.exp(np.cumsum(rng.normal(0, 1e-4, rows)))
    return {
        "symbol": [symbol] * rows,
        "venue": ["N"] * rows,
        "ts_event": times.tolist(),
        "ts_recv": times.tolist(),
        "price": prices.tolist(),
        "size": rng.integers(1, 10, rows).astype(float).tolist(),
        "updates_high_low": [True] * rows,
        "updates_last": [True] * rows,
        "updates_volume": [True] * rows,
        "action": ["new"] * rows,
    }


def _quotes(symbol: str, seed: int, rows: int = 21_000) -> dict[str, list[object]]:
    """Quotes of one venue, a side a row, both of a change at one time."""
    rng = np.random.default_rng(seed)
    times = OPEN_NS + (np.arange(rows) // 2 * 2 * (OPEN_S * 10**9 // rows))
    mid = 20 + np.cumsum(rng.integers(-1, 2, rows // 2)) * 0.01
    bids = np.repeat(mid - 0.01, 2)
    asks = np.repeat(mid + 0.01, 2)
    sides = np.arange(rows) % 2 == 0
    return {
        "symbol": [symbol] * rows,
        "venue": ["N"] * rows,
        "ts_event": times.tolist(),
        "ts_recv": times.tolist(),
        "bid": [price if side else None for price, side in zip(bids.tolist(), sides, strict=True)],
        "bid_size": [100.0 if side else None for side in sides],
        "ask": [None if side else price for price, side in zip(asks.tolist(), sides, strict=True)],
        "ask_size": [None if side else 100.0 for side in sides],
    }


def _without(rows: dict[str, list[object]], keep: np.ndarray) -> dict[str, list[object]]:
    return {
        name: [one for one, kept in zip(of, keep, strict=True) if kept] for name, of in rows.items()
    }


def _planted() -> list[tuple[Topic, dict[str, list[object]]]]:
    """Good rows of GOOD, and of each other symbol one fault that its name says."""
    fed = [(TRADES, _trades("GOOD", day, 10 + day)) for day in range(3)]
    gap = _trades("GAP", 0, 20)
    times = np.array(gap["ts_event"])
    hole = (times > OPEN_NS + 7_200 * 10**9) & (times < OPEN_NS + 7_600 * 10**9)
    fed.append((TRADES, _without(gap, ~hole)))
    jump = _trades("JUMP", 0, 30)
    jump["price"][3_000] = float(np.float64(jump["price"][3_000])) * 1.2
    fed.append((TRADES, jump))
    fed.append((TRADES, _trades("FEW", 0, 40, rows=20)))
    volumes = [_trades("VOLUME", day, 50 + day, rows=100) for day in range(8)]
    volumes[7]["size"] = [one * 9 for one in np.array(volumes[7]["size"], dtype=float).tolist()]
    fed += [(TRADES, one) for one in volumes]
    # Six days, and none on the seventh: a norm without a day.
    fed += [(TRADES, _trades("GONE", day, 70 + day, rows=100)) for day in range(7)]
    fed.append((QUOTES, _quotes("GOOD", 80)))
    crossed = _quotes("CROSSED", 81)
    crossed["bid"] = [
        one if one is None or at % 8 else 99.0 for at, one in enumerate(crossed["bid"])
    ]
    fed.append((QUOTES, crossed))
    stale = _quotes("STALE", 82)
    # An hour that says the same again and again.
    for name, first in (("bid", 6_000), ("ask", 6_001)):
        stale[name][first : first + 3_000 : 2] = [stale[name][first]] * 1_500
    fed.append((QUOTES, stale))
    return fed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home in which planted faults have landed; its store is served by a process of its own."""
    home = tmp_path_factory.mktemp("quality")
    settings = Settings(home=home)
    with store_process(home / "store"), open_log(settings.log) as log:
        create_topics(log, 1)
        for topic, columns in _planted():
            log.append([rows_record(topic, 0, topic.batch(columns))])
        land(log, settings.store, settings.lake_path)
        yield settings


@pytest.fixture(scope="module")
def judged(home: Settings) -> dict[tuple[str, str], pl.DataFrame]:
    """What was found, by place and topic."""
    return elsewhere(_judged, home)


def _judged(home: Settings) -> dict[tuple[str, str], pl.DataFrame]:
    found = {}
    for target in TARGETS:
        with open_source(target, home.store, home.lake_path) as source:
            measured = [measure(source, topic, "XNYS") for topic in (TRADES, QUOTES)]
        for one, frame in zip(measured, judge(measured), strict=True):
            found[target, one.topic.name] = frame
    return found


def _failed(frame: pl.DataFrame) -> set[tuple[int, str, str | None]]:
    rows = frame.filter(pl.col("status") == "failed")
    return {
        (day - MONDAY, check, symbol)
        for day, check, symbol in rows.select("day", "check", "symbol").rows()
    }


Judged = dict[tuple[str, str], pl.DataFrame]


def test_each_planted_fault_is_found_and_nothing_else(judged: Judged) -> None:
    assert _failed(judged["clickhouse", "trades"]) == {
        (0, "gap of 300 s", "GAP"),
        (0, "jump of 10 sigma", "JUMP"),
        (7, "volume of 20 days", "VOLUME"),
        (7, "volume of 20 days", "GONE"),
    }
    assert _failed(judged["clickhouse", "quotes"]) == {
        (0, "crossed", "CROSSED"),
        (0, "stale for 120 s", "STALE"),
    }


@pytest.mark.parametrize("topic", [TRADES, QUOTES], ids=lambda topic: topic.name)
def test_clickhouse_and_the_lake_give_the_same(judged: Judged, topic: Topic) -> None:
    assert judged["clickhouse", topic.name].equals(judged["lake", topic.name])


def test_a_gap_is_as_long_as_numpy_says_and_begins_where_it_does(judged: Judged) -> None:
    (row,) = _rows(judged, "trades", "gap of 300 s", "GAP")
    times = np.sort(np.array(_planted()[3][1]["ts_event"]))
    edges = np.array([OPEN_NS, *times, OPEN_NS + OPEN_S * 10**9])
    gaps = np.diff(edges)
    assert row["observed"] == gaps.max() / 1e9
    assert row["first_ts"] == edges[gaps.argmax()]
    assert row["unexpected"] == 1


def test_a_jump_is_as_many_sigmas_as_numpy_says_and_names_its_row(judged: Judged) -> None:
    (row,) = _rows(judged, "trades", "jump of 10 sigma", "JUMP")
    columns = _planted()[4][1]
    times, prices = np.array(columns["ts_event"]), np.array(columns["price"], dtype=float)
    minutes = times // 60_000_000_000
    last = prices[np.append(np.flatnonzero(np.diff(minutes)), len(prices) - 1)]
    sigma = np.diff(np.log(last)).std(ddof=1)
    steps = np.abs(np.diff(np.log(prices))) / sigma
    assert row["observed"] == pytest.approx(steps.max(), rel=1e-9)
    # Up, and down again.
    assert row["unexpected"] == 2
    assert (row["first_row"], row["first_ts"]) == (3_000, times[3_000])


def test_a_volume_is_compared_with_the_mean_of_the_days_before(judged: Judged) -> None:
    (row,) = [
        one
        for one in _rows(judged, "trades", "volume of 20 days", "VOLUME")
        if one["day"] == MONDAY + 7
    ]
    totals = [sum(_trades("VOLUME", day, 50 + day, rows=100)["size"]) for day in range(8)]
    assert row["observed"] == pytest.approx(totals[7] * 9 / np.mean(totals[:7]))
    (gone,) = [
        one
        for one in _rows(judged, "trades", "volume of 20 days", "GONE")
        if one["day"] == MONDAY + 7
    ]
    assert (gone["observed"], gone["rows"]) == (0.0, 0)


def test_the_share_of_crossed_quotes_is_that_of_a_venues_quotes_at_the_ends_of_their_times(
    judged: Judged,
) -> None:
    (row,) = _rows(judged, "quotes", "crossed", "CROSSED")
    # A bid of 99 every fourth time.
    assert row["observed"] == pytest.approx(0.25, abs=0.001)
    assert row["rows"] == 10_500
    (good,) = _rows(judged, "quotes", "crossed", "GOOD")
    assert good["unexpected"] == 0, "a side a row: between them a moving quote seems crossed"


def test_what_cannot_be_judged_says_why(judged: Judged) -> None:
    (few,) = _rows(judged, "trades", "gap of 300 s", "FEW")
    assert (few["status"], few["note"]) == ("not_judged", "fewer than 5000 rows while XNYS is open")
    first = next(one for one in _rows(judged, "trades", "volume of 20 days", "VOLUME"))
    assert first["note"] == "0 days before it have trades, 5 are needed"
    # The fifth day of the planted week is a Friday, the sixth a Saturday.
    saturday = judged["clickhouse", "trades"].filter(
        (pl.col("day") == MONDAY + 5) & (pl.col("check") == "gap of 300 s")
    )
    assert saturday["note"].to_list() == ["XNYS is closed"]


@pytest.mark.own_process
def test_a_day_with_rows_of_the_night_alone_is_said_not_to_be_judged(tmp_path: Path) -> None:
    columns = _trades("X", 0, 1, rows=10)
    night = np.array(columns["ts_event"]) + 10 * 3_600 * 10**9
    rows = TRADES.batch(columns | {"ts_event": night})
    write_range(tmp_path, TRADES, FileRange(0, 0, 0), _landed(TRADES, rows))
    with open_source("lake", "", tmp_path) as source:
        frame = measure(source, TRADES, "XNYS").measures
    notes = frame.filter(pl.col("check").is_in(["gap of 300 s", "jump of 10 sigma"]))["note"]
    assert set(notes) == {"no rows while XNYS is open"}


def _rows(judged: Judged, topic: str, check: str, symbol: str) -> list[dict[str, object]]:
    frame = judged["clickhouse", topic]
    return frame.filter((pl.col("check") == check) & (pl.col("symbol") == symbol)).to_dicts()


def test_results_are_rows_of_a_topic_and_the_same_data_gives_no_second_ones(
    home: Settings, tmp_path: Path
) -> None:
    asked = QualityRequest(
        topics=("trades",), targets=TARGETS, first_day=None, last_day=None, page=None, record=True
    )
    first = elsewhere(quality, home, asked)
    assert first.failed == 8
    assert (first.appended, first.changed) == (first.results.num_rows, 0)
    again = elsewhere(quality, home, replace(asked, targets=("lake",)))
    assert (again.appended, again.changed) == (0, 0)
    lake = pa.compute.equal(first.results.column("target"), "lake")
    assert again.results.to_pylist() == first.results.filter(lake).to_pylist(), (
        "no clock is in them"
    )
    with open_log(home.log) as log:
        land(log, home.store, home.lake_path)
    with open_source("clickhouse", home.store, home.lake_path) as source:
        landed = source.query(
            "SELECT target, symbol FROM quality_results WHERE status = 'failed' AND kind = 'gap' ORDER BY target"
        )
    assert landed.rows() == [("clickhouse", "GAP"), ("lake", "GAP")]


class Shown(NamedTuple):
    """What a call of the command line gave."""

    code: int
    output: str
    stdout: str


def _shown(arguments: list[str]) -> Shown:
    done = CliRunner().invoke(app, arguments)
    return Shown(done.exit_code, done.output, done.stdout)


def test_the_verb_says_what_failed_writes_a_page_and_ends_with_1(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEFLOW_HOME", str(home.home))
    page = tmp_path / "out" / "quality.html"
    arguments = ["quality", "trades", "--on", "lake", "--day", "2013-10-07", "--no-record"]
    shown = elsewhere(_shown, [*arguments, "--html", str(page)])
    assert shown.code == 1, shown.output
    assert "GAP" in shown.output
    assert "2 failed" in shown.output
    text = page.read_text()
    assert "no price differs from the one before" in text
    assert "0:4:3000" in text, "the first row that jumps, by partition, offset and row"
    assert "http" not in text, "the page needs no network"
    value = orjson.loads(elsewhere(_shown, [*arguments, "--json"]).stdout)
    assert (value["ok"], value["failed"]) == (False, 2)


def test_days_without_rows_are_said(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEFLOW_HOME", str(home.home))
    between = [
        "quality",
        "quotes",
        "--on",
        "lake",
        "--no-record",
        "--from",
        "2013-10-06",
        "--to",
        "2013-10-08",
    ]
    shown = elsewhere(_shown, between)
    assert "quotes in lake: no rows on 2013-10-06" in shown.output
    assert "quotes in lake: no rows on 2013-10-08" in shown.output
    nothing = elsewhere(_shown, ["quality", "trades", "--on", "lake", "--day", "2020-01-01"])
    assert nothing.code == 2
    assert "trades in lake: no rows on 2020-01-01" in nothing.output


@pytest.mark.own_process
def test_rows_landed_twice_or_broken_on_the_way_are_found_in_the_lake(tmp_path: Path) -> None:
    """What the in-stream validation would have rejected, had the rows come its way."""
    columns = _trades("X", 0, 1, rows=10)
    table = _landed(TRADES, TRADES.batch(columns))
    bad = columns | {
        "price": [-1.0, float("nan"), *columns["price"][2:]],
        "action": ["undo", "cancel", *columns["action"][2:]],
    }
    broken = _landed(TRADES, TRADES.batch(bad))
    write_range(tmp_path, TRADES, FileRange(0, 0, 0), table)
    write_range(tmp_path, TRADES, FileRange(0, 1, 1), broken)
    with open_source("lake", "", tmp_path) as source:
        measured = measure(source, TRADES, "XNYS")
    (frame,) = judge([measured])
    rows = (
        frame.filter(pl.col("status") == "failed").select("check", "unexpected", "first_row").rows()
    )
    assert set(rows) == {
        ("price finite", 1, 1),
        ("price above 0", 1, 0),
        ("action known", 1, 0),
        ("ref_trade_id or ts_ref for action correct, cancel", 1, 1),
        # Both files say that they are record 0.
        ("position unique", 10, 0),
    }


def _landed(topic: Topic, batch: pa.RecordBatch) -> pa.Table:
    count = batch.num_rows
    positions = [
        pa.array(np.zeros(count, np.int32)),
        pa.array(np.zeros(count, np.int64)),
        pa.array(np.arange(count, dtype=np.int32)),
        batch.column("ts_event"),
    ]
    return pa.Table.from_arrays([*batch.columns, *positions], schema=landed_schema(topic))


def test_the_suites_are_the_declarations(tmp_path: Path) -> None:
    every = {check.name: check for check in checks(TRADES)}
    day, symbol = suite(TRADES), suite(TRADES, per_symbol=True)
    columns = [one.column for one in (*day.expectations, *symbol.expectations)]
    assert sorted(columns) == sorted(every)
    for one in symbol.expectations:
        check = every[one.column]
        assert check.kind in PER_SYMBOL
        assert (one.min_value, one.max_value) == (check.limit_low, check.limit_high)
    tighter = replace(TRADES.field("price"), above=10)
    other = replace(
        TRADES, fields=tuple(tighter if one.name == "price" else one for one in TRADES.fields)
    )
    assert "price above 10" in {one.column for one in suite(other).expectations}
    assert QUALITY_RESULTS.field("kind").allowed == tuple(CheckKind)


@pytest.mark.own_process
def test_days_of_a_topic_that_lies_in_the_lake_by_month_are_told_apart(tmp_path: Path) -> None:
    rows = topic_rows(BARS, np.random.default_rng(2), 40, 0)
    at = BARS.schema.get_field_index("ts_event")
    days = pa.array(MONDAY * DAY_NS + np.arange(40) // 20 * DAY_NS).cast(rows.column(at).type)
    table = _landed(BARS, rows.set_column(at, BARS.schema.field(at), days))
    write_range(tmp_path, BARS, FileRange(0, 0, 0), table)
    with open_source("lake", "", tmp_path) as source:
        whole = measure(source, BARS, "XNYS").days["rows"].to_list()
        second = measure(source, BARS, "XNYS", first_day=MONDAY + 1, last_day=MONDAY + 1)
    assert whole == [20, 20]
    assert set(second.measures["rows"]) == {20}
    assert set(second.measures["day"]) == {MONDAY + 1}
