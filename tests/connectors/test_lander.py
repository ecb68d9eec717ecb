"""The lander with a real log, store and lake: every row once in each, whatever dies when."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from connectors import crash_points
from connectors.chdb_engine import StoreError
from connectors.clickhouse import connect
from connectors.clock import CLOCK_TOPIC, Clock
from connectors.control import FEEDS_TOPIC, LANDINGS_TOPIC, control_record
from connectors.lander import Lander
from connectors.landing_faults import LandingError
from connectors.landings import CLICKHOUSE, LAKE, landed_positions, read_state
from connectors.log import FencedError, Log, TopicConfig, TruncatedError
from connectors.topics import create_topics
from schemas.market import TRADES
from tests.connectors.landing_rows import append_trades, positions
from tests.stores import store_process


class CrashError(Exception):
    """The crash that a test asked for."""


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 2)
    return sqlite_log


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def client(store_url: str) -> Iterator[Client]:
    with connect(store_url) as client:
        yield client


def in_clickhouse(client: Client) -> list[tuple[int, int, int]]:
    return client.query("SELECT _partition, _offset, _row FROM trades ORDER BY ALL").result_rows  # type: ignore[return-value]


def in_lake(lake: Path) -> list[tuple[int, int, int]]:
    found = pl.scan_parquet(lake / "trades", hive_partitioning=True)
    return found.select("_partition", "_offset", "_row").collect().sort(pl.all()).rows()


def assert_whole(log: Log, client: Client, lake: Path) -> None:
    """Each row of the log once in each sink."""
    wanted = sorted(positions(TRADES, log))
    assert in_clickhouse(client) == wanted
    assert in_lake(lake) == wanted


def test_every_row_lands_once_in_both_sinks_and_positions_say_so(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    rows = append_trades(log, 1, 50)
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
        assert lander.metrics.rows == {CLICKHOUSE: {"trades": rows}, LAKE: {"trades": rows}}
        assert lander.latencies().rows == rows
    assert_whole(log, client, lake)
    found = landed_positions(log)
    for sink in (CLICKHOUSE, LAKE):
        assert found[sink]["trades"] == {p: log.end("trades", p) for p in range(2)}


def test_both_sinks_hold_the_same_values(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    append_trades(log, 2, 10)
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    names = [*TRADES.schema.names, "_partition", "_offset", "_row", "_appended"]
    order = ["_partition", "_offset", "_row"]
    there = pl.from_arrow(client.query_arrow(f"SELECT {', '.join(names)} FROM trades")).sort(order)
    here = pl.read_parquet(lake / "trades" / "**/*.parquet").select(names).sort(order)
    for name in names:
        assert there[name].cast(here[name].dtype).to_list() == here[name].to_list(), name


def test_nothing_is_landed_twice_by_a_second_run(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    for seed in (1, 2, 3):
        append_trades(log, seed, 20)
        for _ in range(2):
            with Lander(log, store_url, lake) as lander:
                lander.run_until_end()
    assert_whole(log, client, lake)


@pytest.mark.parametrize(
    "point",
    [
        "clickhouse: intents recorded",
        "clickhouse: written",
        "lake: intents recorded",
        "lake: written",
    ],
)
@pytest.mark.parametrize("nth", [1, 3])
def test_a_crash_between_intent_and_done_doubles_and_loses_nothing(
    request: pytest.FixtureRequest,
    log: Log,
    store_url: str,
    lake: Path,
    client: Client,
    point: str,
    nth: int,
) -> None:
    def crash() -> None:
        raise CrashError

    crashed = False
    crash_points.arm(point, nth, crash)
    request.addfinalizer(crash_points.disarm)
    for seed in range(4):
        append_trades(log, seed, 10)
        try:
            with Lander(log, store_url, lake) as lander:
                lander.run_until_end()
        except CrashError:
            crashed = True
            assert read_state(log).open
    assert crashed
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert not read_state(log).open
    assert_whole(log, client, lake)


_KILLED = """
import sys, threading
from pathlib import Path
from connectors.lander import Lander
from connectors.log import open_log

url, store, lake = sys.argv[1:]
with open_log(url) as log, Lander(log, store, Path(lake), lake_flush_ns=20_000_000) as lander:
    lander.run_forever(threading.Event())
"""


@pytest.mark.parametrize("point", ["clickhouse: written", "lake: written"])
def test_a_killed_lander_process_doubles_and_loses_nothing(
    log: Log, store_url: str, lake: Path, client: Client, point: str
) -> None:
    for nth in (1, 4):
        command = [sys.executable, "-c", _KILLED, log.url, store_url, str(lake)]
        armed = {**os.environ, crash_points.CRASH_AT: f"{point}:{nth}"}
        with subprocess.Popen(command, env=armed) as process:
            for seed in range(10):
                append_trades(log, 10 * nth + seed, 10)
                time.sleep(0.05)
            deadline = time.monotonic() + 30
            while process.poll() is None and time.monotonic() < deadline:
                append_trades(log, 99, 1)
                time.sleep(0.05)
            assert process.wait() == -9
    with Lander(log, store_url, lake) as lander:
        assert lander.metrics.intents_repeated >= 1
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_rows_that_come_while_it_runs_land_within_moments(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    stop = threading.Event()
    with Lander(log, store_url, lake, lake_flush_ns=200_000_000) as lander:
        thread = threading.Thread(target=lander.run_forever, args=(stop,))
        thread.start()
        for seed in range(5):
            append_trades(log, seed, 5)
            wanted = len(positions(TRADES, log))
            begun = time.monotonic()
            while len(in_clickhouse(client)) < wanted:
                assert time.monotonic() - begun < 5
                time.sleep(0.01)
        begun = time.monotonic()
        while not (lake / "trades").is_dir() or len(in_lake(lake)) < wanted:
            assert time.monotonic() - begun < 5, "not in the lake within lake_flush"
            time.sleep(0.02)
        ends = {p: log.end("trades", p) for p in range(2)}
        begun = time.monotonic()
        while landed_positions(log)[LAKE].get("trades") != ends:
            assert time.monotonic() - begun < 5, "in the lake, and not recorded while nothing comes"
            time.sleep(0.02)
        append_trades(log, 9, 5)
        stop.set()
        thread.join()
        latency = lander.latencies()
        assert latency.p50_ms is not None
        assert latency.p99_ms is not None
        assert 0 < latency.p50_ms <= latency.p99_ms < 5_000
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_a_store_that_is_killed_and_comes_back_costs_nothing(
    log: Log, tmp_path: Path, lake: Path
) -> None:
    url, stop = f"chdb:///{tmp_path / 'own'}", threading.Event()
    append_trades(log, 0, 5)
    with store_process(tmp_path / "own") as process:
        lander = Lander(log, url, lake)
        thread = threading.Thread(target=lander.run_forever, args=(stop,))
        thread.start()
        for seed in range(10):
            append_trades(log, seed, 5)
            time.sleep(0.03)
        process.kill()
    append_trades(log, 11, 20)
    with store_process(tmp_path / "own"):
        append_trades(log, 12, 20)
        time.sleep(0.5)
        stop.set()
        thread.join()
        lander.close()
        with Lander(log, url, lake) as again:
            again.run_until_end()
        with connect(url) as client:
            assert_whole(log, client, lake)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_store_killed_between_token_and_part_loses_no_row(
    request: pytest.FixtureRequest, log: Log, tmp_path: Path, lake: Path, parts: int
) -> None:
    """ClickHouse notes an insert's token and then renames its part: between the two, a repeat does nothing."""

    def crash() -> None:
        raise CrashError

    url = f"chdb:///{tmp_path / 'own'}"
    append_trades(log, 1, 50)
    crash_points.arm("clickhouse: written", 1, crash)
    request.addfinalizer(crash_points.disarm)
    with store_process(tmp_path / "own") as process:
        with pytest.raises(CrashError), Lander(log, url, lake) as lander:
            lander.run_until_end()
        with connect(url) as client:
            paths = client.query(
                "SELECT path FROM system.parts WHERE table = 'trades' AND active"
            ).result_rows
        process.kill()
    assert len(paths) == 2
    for (path,) in paths[:parts]:
        shutil.rmtree(path)
    with store_process(tmp_path / "own"), connect(url) as client:
        with Lander(log, url, lake) as lander:
            lander.run_until_end()
        assert_whole(log, client, lake)
        with Lander(log, url, lake) as lander:
            lander.run_until_end()
        assert_whole(log, client, lake)


def test_a_second_lander_of_a_lake_ends_before_it_writes_and_the_first_goes_on(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    """Both wrote once: a second one removed files that the first was writing, and its compaction new ones."""
    append_trades(log, 1, 5)
    with Lander(log, store_url, lake) as first:
        with pytest.raises(LandingError, match="another copy of the lander writes it"):
            Lander(log, store_url, lake)
        first.run_until_end()
    assert_whole(log, client, lake)
    with Lander(log, store_url, lake) as next_one:
        next_one.run_until_end()


def test_a_lander_that_could_not_start_leaves_the_lake_to_others(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    append_trades(log, 1, 5)
    with pytest.raises(StoreError):
        Lander(log, "clickhouse://127.0.0.1:1/db", lake, give_up_s=0.1)
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_a_second_lander_fences_the_first(
    log: Log, store_url: str, lake: Path, tmp_path: Path
) -> None:
    append_trades(log, 1, 5)
    elsewhere = tmp_path / "another machine's lake"
    with (
        Lander(log, store_url, lake) as first,
        Lander(log, store_url, elsewhere),
        pytest.raises(FencedError),
    ):
        first.run_until_end()


def test_the_state_is_read_from_the_newest_checkpoint(
    log: Log, store_url: str, lake: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.landings.CHECKPOINT_EVERY", 6)
    monkeypatch.setattr("connectors.landings._SEARCH_STEP", 3)
    for seed in range(12):
        append_trades(log, seed, 1)
        with Lander(log, store_url, lake) as lander:
            for _ in range(3):
                append_trades(log, seed, 1)
                lander.run_until_end()
    assert_whole(log, client, lake)
    kept = log.end(LANDINGS_TOPIC, 0) - log.start(LANDINGS_TOPIC, 0)
    assert kept < 40, "what lies before the last two checkpoints is trimmed"


def test_control_records_are_kept_in_the_lake(log: Log, store_url: str, lake: Path) -> None:
    append_trades(log, 1, 20)
    log.create_topic(TopicConfig(name="_progress.bars", partitions=2))
    log.append([control_record("_progress.bars", 1, {"number": 1})])
    log.append([control_record(FEEDS_TOPIC, 0, {"file": "x"})])
    log.create_topic(TopicConfig(name="_snapshots.bars", partitions=2))
    log.append([control_record("_snapshots.bars", 0, {"large": 1})])
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    found = pl.read_parquet(lake / "_control" / "**/*.parquet").sort("topic", "partition", "offset")
    assert set(found["topic"]) == {"trades", "_progress.bars", FEEDS_TOPIC}
    progress = found.filter(topic="_progress.bars").to_dicts()
    assert [(one["partition"], one["offset"], one["value"]) for one in progress] == [
        (1, 0, b'{"number":1}')
    ]
    trades = found.filter(topic="trades")
    assert trades.height == sum(log.end("trades", p) for p in range(2))
    watermarks = trades.filter(pl.col("value").is_not_null())
    assert watermarks.height == 2
    headers = {h["name"]: h["value"] for h in trades["headers"][0]}
    assert headers["source"] == b"test"
    record = log.read("trades", 0, 0).records[0]
    first = trades.filter(partition=0, offset=0)
    assert first["append_time"].cast(pl.Int64).to_list() == [record.append_time_ns]


def test_a_clock_that_went_on_while_no_lander_ran_stops_none(
    log: Log, store_url: str, lake: Path
) -> None:
    """The clock keeps its last state alone; a lander that wanted the ones before could never start."""
    append_trades(log, 1, 5)
    with closing(Clock(log)):
        with Lander(log, store_url, lake) as lander:
            lander.run_until_end()
        for _ in range(3):
            log.trim(CLOCK_TOPIC, 0, log.append([control_record(CLOCK_TOPIC, 0, {})])[0])
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert not (lake / "_control" / CLOCK_TOPIC).exists()


def test_a_refused_insert_ends_the_lander_and_loses_nothing(
    log: Log, store_url: str, lake: Path, client: Client
) -> None:
    with Lander(log, store_url, lake) as lander:
        append_trades(log, 1, 5)
        lander.run_until_end()
    client.command("ALTER TABLE trades DROP COLUMN price")
    append_trades(log, 2, 5)
    with pytest.raises(Exception, match="price"), Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert landed_positions(log)[CLICKHOUSE]["trades"] != {
        p: log.end("trades", p) for p in range(2)
    }
    client.command("ALTER TABLE trades ADD COLUMN price Float64 AFTER ts_recv")
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_a_log_that_was_cut_below_what_has_landed_is_an_error(
    log: Log, store_url: str, lake: Path
) -> None:
    with Lander(log, store_url, lake) as lander:
        append_trades(log, 1, 5)
        lander.run_until_end()
    append_trades(log, 2, 5)
    log.trim("trades", 0, log.end("trades", 0))
    with pytest.raises(TruncatedError), Lander(log, store_url, lake) as lander:
        lander.run_until_end()


def test_many_small_records_and_topics_land_in_bounded_inserts(
    log: Log, store_url: str, lake: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.lander._STEP_ROWS", 500)
    monkeypatch.setattr("connectors.landing_tail._READ_BYTES", 4_000)
    monkeypatch.setattr("connectors.lake_buffer.TOPIC_ROWS", 1_500)
    monkeypatch.setattr("connectors.lake_buffer._JOIN", 3)
    append_trades(log, 1, 200)
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert_whole(log, client, lake)
    largest = client.command("SELECT max(rows) FROM system.parts WHERE table = 'trades'")
    assert isinstance(largest, int)
    files = list((lake / "trades").glob("date=*/*.parquet"))
    assert len({file.parent.name for file in files}) == 2


def test_the_store_may_be_opened_by_the_lander_itself(log: Log, tmp_path: Path, lake: Path) -> None:
    url = f"chdb:///{tmp_path / 'own'}"
    append_trades(log, 1, 5)
    with Lander(log, url, lake) as lander:
        lander.run_until_end()
    with connect(url) as client:
        assert_whole(log, client, lake)
