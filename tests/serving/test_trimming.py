"""A platform whose log is cut: it goes on, and its proofs say from where they speak."""

import io
import time
from pathlib import Path

import orjson
import pytest

from connectors.control import progress_topic
from connectors.lander import Lander
from connectors.log import Log, NewRecord, open_log
from connectors.receipts import receipt
from connectors.retention import Retention, apply, plan
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.engines.progress import last_progress
from flows.engines.recount import recount
from flows.indicators import Indicators
from flows.intake import Intake
from schemas.bars import BARS
from schemas.indicators import INDICATORS
from serving import trimming as trimming_module
from serving.audit import audit
from serving.replay import comparisons
from serving.topics import overview
from serving.trimming import run_trim, trimming
from tests.connectors.landing_rows import append_trades
from tests.serving.proofs import land, trade, worked
from tests.stores import store_process

_ALL = {
    "trades": Retention(age_ns=1),
    "trades.in": Retention(age_ns=1),
    "bars": Retention(size_bytes=1),
}
_FLOWS = [Intake, Bars, Indicators]


def trim(log: Log, *, dry_run: bool = False) -> dict[str, dict[str, int | str]]:
    """What the verb says of each topic with records."""
    out = io.StringIO()
    assert run_trim(log, _ALL, dry_run=dry_run, without=(), as_json=True, out=out) == 0
    return {one["topic"]: one for one in orjson.loads(out.getvalue())["cuts"] if one["end"]}


def failing(log: Log, store_url: str, lake: Path) -> list[str]:
    checks = audit(log, store_url, lake)
    assert checks
    return [f"{one.subject}: {one.claim} {one.detail}" for one in checks if not one.ok]


def test_a_cut_log_goes_on_as_an_uncut_one_and_the_lake_has_the_rest(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    starts = {name: sqlite_log.start(name, 0) for name in _ALL}
    told = trim(sqlite_log, dry_run=True)
    assert {name: sqlite_log.start(name, 0) for name in _ALL} == starts, "a dry run cuts nothing"
    cut = trim(sqlite_log)
    assert cut == told
    for name in _ALL:
        assert sqlite_log.start(name, 0) == cut[name]["before"] == sqlite_log.end(name, 0) - 1
    assert failing(sqlite_log, store_url, lake) == []
    nothing = comparisons(sqlite_log, ["bars"])
    assert [(one.topic, one.computed.rows) for one in nothing] == [("bars", 0)]
    assert "compared from commit" in nothing[0].since
    append_trades(sqlite_log, 5, 10)
    sqlite_log.append([NewRecord("trades.in", 0, trade(at)) for at in range(5)])
    run_until_end(sqlite_log, _FLOWS)
    land(sqlite_log, store_url, lake)
    assert failing(sqlite_log, store_url, lake) == []
    assert all(one.identical for one in comparisons(sqlite_log, ["bars"]))
    with open_log(f"lake:///{lake}") as whole:
        assert whole.start("trades", 0) == 0
        assert all(one.identical for one in comparisons(whole, ["intake", "bars", "indicators"]))
        of_cut = receipt(whole, [BARS, INDICATORS])
    # The same records, to a log that was never cut.
    store = tmp_path / "other-store"
    with open_log(f"sqlite:///{tmp_path / 'other.db'}") as other, store_process(store):
        worked(other, f"chdb:///{store}", tmp_path / "other-lake")
        append_trades(other, 5, 10)
        other.append([NewRecord("trades.in", 0, trade(at)) for at in range(5)])
        run_until_end(other, _FLOWS)
        assert receipt(other, [BARS, INDICATORS]) == of_cut


def test_a_row_that_is_gone_from_a_sink_is_missed_though_the_log_is_cut(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    trim(sqlite_log)
    assert failing(sqlite_log, store_url, lake) == []
    file = max((lake / "trades").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    file.unlink()
    (missed,) = failing(sqlite_log, store_url, lake)
    assert missed.startswith("lander: trades: rows cut from the log (by lake/_control) and in it")
    assert "trades[0] at offset 0: 500 rows in the log, 0 landed" in missed


def test_a_file_that_was_deleted_is_named_by_its_folder(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    file = min((lake / "trades").rglob("*.parquet"))
    file.unlink()
    (missed,) = failing(sqlite_log, store_url, lake)
    assert f"{file.parent}: the file 0-…-….parquet with offset 8 is gone" in missed


def test_a_file_that_cannot_be_read_fails_the_audit_by_name(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    file = next((lake / "bars").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (missed,) = failing(sqlite_log, store_url, lake)
    assert missed.startswith("lander: bars")
    assert str(file) in missed


def test_progress_is_cut_below_the_snapshots_checkpoint_and_flows_go_on(
    sqlite_log: Log, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.retention._PROGRESS_AGE_NS", 1)
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    for seed in range(4):
        append_trades(sqlite_log, seed, 3)
        run_until_end(sqlite_log, _FLOWS)
    land(sqlite_log, store_url, lake)
    trim(sqlite_log)
    assert sqlite_log.start(progress_topic("bars"), 0) > 0
    append_trades(sqlite_log, 9, 3)
    run_until_end(sqlite_log, _FLOWS)
    land(sqlite_log, store_url, lake)
    assert failing(sqlite_log, store_url, lake) == []
    with open_log(f"lake:///{lake}") as whole:
        assert all(one.identical for one in comparisons(whole, ["intake", "bars"]))


def test_what_is_cut_that_only_a_flow_that_was_given_up_had_not_read_is_no_fault(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    """`topics trim --without FLOW`, and no audit ever came to its end again."""
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    append_trades(sqlite_log, 5, 10)
    sqlite_log.append([NewRecord("trades.in", 0, trade(at)) for at in range(5)])
    run_until_end(sqlite_log, [Intake])
    land(sqlite_log, store_url, lake)
    policies = {"trades": Retention(age_ns=1)}
    apply(sqlite_log, plan(sqlite_log, policies, time.time_ns(), without=["bars"]))
    last = last_progress(sqlite_log, Bars, 0)
    assert last is not None
    assert sqlite_log.start("trades", 0) > last[1].positions["trades"][0]
    assert failing(sqlite_log, store_url, lake) == []


@pytest.mark.parametrize("outputs_gone", [False, True])
def test_outputs_that_are_older_than_the_snapshots_are_not_missed(
    sqlite_log: Log, store_url: str, tmp_path: Path, *, outputs_gone: bool
) -> None:
    """Of a topic whose newest rows were cut too, after a week without any, all behind a snapshot looked lost."""
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    for number in range(4):
        append_trades(sqlite_log, number, 3)
        sqlite_log.append([NewRecord("trades.in", 0, trade(number))])
        run_until_end(sqlite_log, [Intake, Bars])
    land(sqlite_log, store_url, lake)
    policies = {name: Retention(age_ns=1) for name in ("trades", "bars", "late", "dead_letter")}
    apply(sqlite_log, plan(sqlite_log, policies, time.time_ns(), without=["indicators"]))
    assert sqlite_log.start("bars", 0) > 0
    if outputs_gone:
        # As an earlier version cut them.
        for name in ("bars", "dead_letter"):
            sqlite_log.trim(name, 0, sqlite_log.end(name, 0))
    found = comparisons(sqlite_log, ["bars", "intake"])
    assert all("compared from commit" in one.since for one in found)
    assert [one.topic for one in found if not one.identical] == []
    checks = [check for kind in (Bars, Intake) for check in recount(sqlite_log, kind)]
    assert [str(one) for one in checks if not one.ok] == []


def test_the_lander_cuts_while_it_runs(
    sqlite_log: Log, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming_module, "_EVERY_S", 0.05)
    worked(sqlite_log, store_url, tmp_path / "lake")
    with Lander(sqlite_log, store_url, tmp_path / "lake") as lander:
        lander.run_until_end()
        with trimming(sqlite_log.url, _ALL):
            deadline = time.monotonic() + 20
            while sqlite_log.start("trades", 0) < sqlite_log.end("trades", 0) - 1:
                assert time.monotonic() < deadline
                time.sleep(0.02)


def test_topics_show_sizes_lags_watermarks_and_retention(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    worked(sqlite_log, store_url, tmp_path / "lake")
    append_trades(sqlite_log, 5, 10)

    def told(*, count_rows: bool = False) -> dict[str, list[dict[str, object]]]:
        return overview(sqlite_log, now_ns=time.time_ns(), retention=_ALL, count_rows=count_rows)

    found = told()
    (trades,) = (one for one in found["partitions"] if one["topic"] == "trades")
    assert trades["rows"] == 4_000 + 5 + 20 + 10 * 40  # fed, late, of the inbox, appended now
    assert trades["exact"]
    assert trades["watermark_min_ns"] == trades["watermark_max_ns"] is not None
    counted = told(count_rows=True)
    names = ("topic", "records", "rows", "watermark_max_ns")
    here, there = (
        [[one[name] for name in names] for one in one_told["partitions"]]
        for one_told in (found, counted)
    )
    assert here == there, "an estimate of little is a count"
    lags = {(one["sink"], one["topic"]): one["lag"] for one in found["sinks"]}
    assert lags["clickhouse", "trades"] == lags["lake", "trades"] == 11
    assert lags["lake", "trades.in"] == lags["lake", "bars"] == 0
    assert ("clickhouse", "trades.in") not in lags
    (reader,) = (
        one for one in found["readers"] if (one["flow"], one["topic"]) == ("bars", "trades")
    )
    assert reader["lag"] == 11
    (cut,) = (one for one in found["retention"] if one["topic"] == "trades")
    assert cut["wanted"] == sqlite_log.end("trades", 0) - 1
    assert cut["before"] == sqlite_log.end("trades", 0) - 11
    assert cut["held_by"]
