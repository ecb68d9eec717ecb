"""A run is what the flows give, kept beside live: same bytes, other parameters, killed and resumed; live untouched."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from connectors.clickhouse import connect
from connectors.control import progress_topic
from connectors.log import Log, LogError, open_log
from connectors.receipts import receipt
from connectors.run_log import run_names, run_topic, topics_of_run
from connectors.topics import create_topics
from flows.bars import Bars, BarsParams
from flows.engines.compare import Comparison
from flows.engines.local import run_until_end
from flows.engines.snapshots import manifests
from flows.flow import FlowError, Params
from flows.indicators import Indicators, IndicatorsParams
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from schemas.bars import BARS
from schemas.indicators import INDICATORS
from serving.replay import Request, run_replay
from serving.replay_compare import compare_again, compare_run
from serving.replay_pool import Pool
from serving.replay_tasks import Logs
from serving.run_making import Places, make_run
from serving.run_manifest import Arguments, Manifest, known_run
from serving.runs import drop_run
from serving.settings import Settings
from serving.settings_sources import flow_params
from tests.conftest import skip_or_fail
from tests.connectors.landing_rows import append_trades
from tests.serving.lived import NAMES, Untouched, lived
from tests.serving.proofs import land

OTHER: dict[str, Params] = {
    "bars": BarsParams(intervals=("3s",)),
    "indicators": IndicatorsParams(intervals=("3s",), indicators=("sma_20", "rsi_14")),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    with open_log(f"sqlite:///{tmp_path_factory.mktemp('lived') / 'log.db'}") as opened:
        lived(opened)
        yield opened


def made(log: Log, run: str, arguments: Arguments | None = None) -> Manifest:
    usual = flow_params(Settings())
    with Logs(log) as logs, Pool(logs, 1) as pool:
        places = Places(log=log.url, source=log.url)
        return make_run(places, run, arguments or Arguments(), usual, pool)


def compared(log: Log, run: str, other: str | None = None) -> list[Comparison]:
    with Logs(log) as logs, Pool(logs, 1) as pool:
        one = known_run(log, run)
        against = None if other is None else known_run(log, other)
        return compare_run(Places(log=log.url, source=log.url), one, against, pool)


def with_params(flows: list[str] | None = None) -> Arguments:
    params = {name: one.model_dump(mode="json") for name, one in OTHER.items()}
    return Arguments(flows=flows or ["bars", "indicators"], params=params)


def test_a_run_of_all_orders_and_epochs_is_live_s_and_leaves_live_as_it_was(log: Log) -> None:
    before = Untouched.of(log)
    run = made(log, "same")
    found = compared(log, "same")
    assert {one.flow for one in found} == set(NAMES) == set(run.flows)
    assert all(one.identical and one.in_log.rows == one.computed.rows > 0 for one in found)
    assert run.done_ns is not None
    assert run.rows["bars"] == sum(one.in_log.rows for one in found if one.topic == "bars")
    assert Untouched.of(log) == before


def test_processes_give_the_same_as_one_after_the_other(log: Log) -> None:
    asked = Arguments(flows=["intake", "trade_signs"])
    wanted = made(log, "alone", asked)
    places = Places(log=log.url, source=log.url)
    with Logs(log) as logs, Pool(logs, 2) as pool:
        found = make_run(places, "together", asked, {}, pool)
        again = compare_again(places, NAMES, pool)
        runs = compare_run(places, found, wanted, pool)
    assert found.digests == wanted.digests
    assert found.rows["trade_signs"] > 0
    assert all(one.identical for one in [*again, *runs])
    with Logs(log) as logs, Pool(logs, 1) as pool:
        assert compare_again(places, NAMES, pool) == again


def test_other_parameters_go_down_the_chain(log: Log, tmp_path: Path) -> None:
    """The run's indicators are those of its own bars: what a log gives that never knew others."""
    run = made(log, "what_if", with_params())
    with open_log(f"sqlite:///{tmp_path / 'fresh.db'}") as fresh:
        create_topics(fresh, 2)
        for name in ("trades", "bars", "indicators"):
            if name == "trades":
                for partition in range(2):
                    chunk = log.read(name, partition, 0, max_bytes=1 << 30)
                    fresh.append(list(chunk.records))
        run_until_end(fresh, [Bars, Indicators], OTHER)
        wanted = {one.topic: one for one in receipt(fresh, [BARS, INDICATORS])}
    assert {name: run.digests[name] for name in wanted} == {n: o.digest for n, o in wanted.items()}
    assert run.rows["indicators"] == wanted["indicators"].rows > 0


def test_runs_that_differ_say_how_many_rows_and_which_first(log: Log) -> None:
    made(log, "usual", Arguments(flows=["bars", "indicators"]))
    made(log, "other", with_params())
    bars = [one for one in compared(log, "other", "usual") if one.topic == "bars"]
    for one in bars:
        assert not one.identical
        assert one.counts.left_only == one.in_log.rows
        assert one.counts.right_only == one.computed.rows
        assert one.difference is not None
        assert one.difference.left is not None
        assert one.difference.right is not None
        assert one.difference.right.row["interval"] == "3s"
        assert one.difference.right.place is not None
        assert [span.topic for span in one.difference.right.inputs] == ["trades"]


def test_a_run_of_other_arguments_is_refused_and_the_same_ones_resume(log: Log) -> None:
    made(log, "taken", Arguments(flows=["bars"]))
    ends = Untouched.of(log)
    assert made(log, "taken", Arguments(flows=["bars"])).run == "taken"
    with pytest.raises(
        FlowError, match="run 'taken' is there already, of other arguments: --flows"
    ):
        made(log, "taken", Arguments(flows=["bars", "indicators"]))
    with pytest.raises(FlowError, match="--params was None"):
        made(log, "taken", with_params(["bars"]))
    assert Untouched.of(log) == ends


@pytest.mark.parametrize("name", ["live", "bars", "Bad-Name"])
def test_a_run_is_not_called_as_something_else_is(log: Log, name: str) -> None:
    with pytest.raises(LogError, match="run "):
        made(log, name)
    assert name not in run_names(log)


def test_offsets_and_other_parameters_do_not_go_together(log: Log) -> None:
    with pytest.raises(FlowError, match="say --from and --to as times"):
        made(log, "both", Arguments(flows=["bars"], params={"bars": {}}, begin="trades=3"))
    assert "both" not in run_names(log)


@pytest.mark.parametrize(
    ("begin", "end"), [("trades=2", "trades=5"), ("2013-10-07T13:35", "2013-10-07T13:40")]
)
def test_a_run_of_a_range_is_compared_within_it(log: Log, begin: str, end: str) -> None:
    name = "offsets" if "=" in begin else "times"
    run = made(log, name, Arguments(flows=["bars", "trade_signs"], begin=begin, end=end))
    found = compared(log, name)
    assert all(one.identical for one in found)
    assert 0 < sum(one.in_log.rows for one in found if one.topic == "bars") < run.rows["bars"] + 1


def test_a_flow_that_never_ran_live_is_computed_up_to_the_end(log: Log) -> None:
    run = made(log, "new_flow", Arguments(flows=["event_bars"]))
    assert run.rows["event_bars"] > 0
    found = [one for one in compared(log, "new_flow") if one.topic == "event_bars"]
    assert [one.in_log.rows for one in found] == [0, 0]
    assert sum(one.counts.right_only for one in found) == run.rows["event_bars"]


def test_a_run_that_was_dropped_is_made_again_under_its_name(sqlite_log: Log) -> None:
    """Its writers had committed: the log knows their numbers for good."""
    lived(sqlite_log, 1, epoch=False, kinds=[Bars], commits=2)
    first = made(sqlite_log, "trial", Arguments(flows=["bars"]))
    _drop(sqlite_log, "trial")
    second = made(sqlite_log, "trial", Arguments(flows=["bars"]))
    assert second.digests == first.digests
    assert second.rows["bars"] > 0


def _drop(log: Log, run: str) -> None:
    for name in topics_of_run(log, run):
        log.delete_topic(run_topic(run, name))
    assert run not in run_names(log)


def test_a_flow_that_only_one_side_s_run_has_is_all_on_that_side(log: Log) -> None:
    made(log, "fewer", Arguments(flows=["bars"]))
    more = made(log, "more", Arguments(flows=["bars", "trade_signs"]))
    signs = [one for one in compared(log, "more", "fewer") if one.flow == "trade_signs"]
    assert (
        sum(one.counts.right_only for one in signs if one.topic == "trade_signs")
        == (more.rows["trade_signs"])
    )
    assert all(one.in_log.rows == 0 < one.computed.rows and not one.identical for one in signs)


def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        lived(log, 1)
        wanted = made(log, "whole", Arguments(flows=["bars", "trade_signs"]))
    command = [
        sys.executable,
        "-m",
        "serving.cli",
        "replay",
        "bars",
        "trade_signs",
        "--into",
        "torn",
    ]
    plain = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TAPEFLOW_")},
        "TAPEFLOW_HOME": str(tmp_path),
        "TAPEFLOW_CONFIG": "",
    }
    kills = 0
    for point in ("shard: committed:2", "shard: outputs prepared:2"):
        torn = {**plain, "TAPEFLOW_CRASH_AT": point}
        kills += subprocess.run(command, env=torn, capture_output=True, check=False).returncode < 0
    assert kills == 2
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        assert known_run(log, "torn").done_ns is None
        with pytest.raises(FlowError, match=r"'torn' is not complete: .* --into torn to resume"):
            run_replay(log, [], as_json=True, out=io.StringIO(), request=Request(compare="torn"))
        done = made(log, "torn", Arguments(flows=["bars", "trade_signs"]))
        assert done.digests == wanted.digests
        assert all(one.identical for one in compared(log, "torn"))


def test_a_run_lands_in_tables_and_files_of_its_own_and_is_dropped_whole(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lived(sqlite_log, 1, epoch=False)
    lake = tmp_path / "lake"
    land(sqlite_log, store_url, lake)
    files = sorted(path for path in lake.rglob("*.parquet"))
    places = Places(log=sqlite_log.url, source=sqlite_log.url, store=store_url, lake=lake)
    out = io.StringIO()
    request = Request(into="trial", params=OTHER, flows=["bars", "indicators"], compare=None)
    assert run_replay(sqlite_log, [], as_json=True, out=out, request=request, places=places) == 0
    run = orjson.loads(out.getvalue())["run"]
    with connect(store_url) as client:

        def asked(statement: str) -> object:
            return client.query(statement).result_rows

        assert asked("SELECT count(), any(interval) FROM run_trial.bars") == [
            (run["rows"]["bars"], "3s")
        ]
        assert asked("SELECT count() FROM run_trial.indicators") == [(run["rows"]["indicators"],)]
        assert asked("SELECT count() FROM run_trial.trades") == asked("SELECT count() FROM trades")
        assert asked("SELECT count() FROM run_trial.bars_wide") != [(0,)]
        live = asked("SELECT count(), sum(cityHash64(*)) FROM bars")
        assert list(lake.glob("_runs/trial/bars/*/*.parquet"))
        removed = drop_run(sqlite_log, "trial", store_url, lake)
        assert "run.trial.bars" in removed
        assert ("run_trial",) not in asked("SHOW DATABASES")
        assert asked("SELECT count(), sum(cityHash64(*)) FROM bars") == live
    assert sorted(path for path in lake.rglob("*.parquet")) == files
    assert run_names(sqlite_log) == []
    with pytest.raises(FlowError, match="no run 'trial'; there are none"):
        drop_run(sqlite_log, "trial", store_url, lake)


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker of this module's own: the topics have the platform's names."""
    stack = ExitStack()
    try:
        address = stack.enter_context(start_broker())
    except BrokerError as error:
        skip_or_fail("kafka", str(error))
    with stack:
        yield address


def test_on_kafka_a_run_is_the_same_rows_and_is_dropped_whole(broker: str) -> None:
    with open_log(f"kafka://{broker}") as log:
        lived(log, 3, kinds=[Bars, Indicators], epoch=False, commits=2)
        before = Untouched.of(log)
        run = made(log, "on_kafka")
        found = compared(log, "on_kafka")
        assert all(one.identical for one in found)
        assert run.rows["bars"] > 0
        assert Untouched.of(log) == before
        _drop(log, "on_kafka")
    with open_log(f"kafka://{broker}") as log:
        again = made(log, "on_kafka", Arguments(flows=["bars"]))
        assert again.digests["bars"] == run.digests["bars"]


def test_a_run_is_not_compared_with_rows_that_retention_has_cut(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    """Each row that a week had taken from the live topics was told as one that only the run has."""
    lived(sqlite_log, 1, epoch=False, kinds=[Bars])
    land(sqlite_log, store_url, tmp_path / "lake")
    trial = made(sqlite_log, "trial")
    assert all(one.identical for one in compared(sqlite_log, "trial"))
    oldest = manifests(sqlite_log, "bars", 0)[0]
    sqlite_log.trim("trades", 0, oldest.positions["trades"]["0"])
    assert all(one.identical for one in compared(sqlite_log, "trial"))
    live = Places(log=sqlite_log.url, source=sqlite_log.url)
    lake = Places(log=sqlite_log.url, source=f"lake:///{tmp_path / 'lake'}")
    with Logs(sqlite_log) as logs, Pool(logs, 1) as pool:
        with pytest.raises(FlowError, match=r"none of its own commits ends there.* --from-lake"):
            compare_again(live, ["bars"], pool, run=trial)
        again = compare_again(lake, ["bars"], pool, run=trial)
    assert all(one.identical and one.in_log.rows for one in again)
    sqlite_log.trim("bars", 0, 1)
    with pytest.raises(FlowError, match=r"is cut \(bars\[0\] is kept from 1 on\).* --from-lake"):
        compared(sqlite_log, "trial")
    with Logs(sqlite_log) as logs, Pool(logs, 1) as pool:
        other = make_run(lake, "other", Arguments(source=lake.source), {}, pool)
        assert all(one.identical for one in compare_run(lake, other, trial, pool))


def test_a_run_is_not_compared_with_commits_whose_progress_is_cut(sqlite_log: Log) -> None:
    lived(sqlite_log, 1, epoch=False, kinds=[Bars])
    made(sqlite_log, "trial")
    append_trades(sqlite_log, 1, 4)
    run_until_end(sqlite_log, [Bars])
    assert all(one.identical for one in compared(sqlite_log, "trial"))
    name = progress_topic("bars")
    sqlite_log.trim(name, 0, sqlite_log.end(name, 0) - 1)
    with pytest.raises(FlowError, match=r"its progress is kept from"):
        compared(sqlite_log, "trial")
