"""The lander with a real log, store and lake: every row once in each; what it keeps, and whom it refuses."""

import threading
import time
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from connectors.chdb_address import running_store
from connectors.chdb_engine import StoreError
from connectors.clickhouse import connect
from connectors.clock import CLOCK_TOPIC, Clock
from connectors.control import FEEDS_TOPIC, LANDINGS_TOPIC, control_record, control_value
from connectors.lander import Lander
from connectors.landing_faults import LandingError
from connectors.landing_loss import LostTailError
from connectors.landings import CLICKHOUSE, LAKE, LandingState, landed_positions
from connectors.log import FencedError, Log, NewRecord, TopicConfig, TruncatedError
from connectors.scan import scan_records
from connectors.topics import create_topics
from schemas.market import TRADES
from schemas.registry import inboxes
from tests.connectors.landing_rows import append_trades, positions
from tests.connectors.sinks import assert_whole, in_clickhouse, in_lake


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 2)
    return sqlite_log


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
                assert time.monotonic() - begun < 60
                time.sleep(0.01)
        begun = time.monotonic()
        while not (lake / "trades").is_dir() or len(in_lake(lake)) < wanted:
            assert time.monotonic() - begun < 60, "not in the lake within lake_flush"
            time.sleep(0.02)
        ends = {p: log.end("trades", p) for p in range(2)}
        begun = time.monotonic()
        while landed_positions(log)[LAKE].get("trades") != ends:
            assert time.monotonic() - begun < 60, (
                "in the lake, and not recorded while nothing comes"
            )
            time.sleep(0.02)
        append_trades(log, 9, 5)
        stop.set()
        thread.join()
        latency = lander.latencies()
        assert latency.p50_ms is not None
        assert latency.p99_ms is not None
        assert 0 < latency.p50_ms <= latency.p99_ms
    with Lander(log, store_url, lake) as lander:
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


@pytest.mark.own_process
def test_a_lander_that_could_not_start_leaves_lake_and_store_to_others(
    log: Log, store_url: str, lake: Path, client: Client, tmp_path: Path
) -> None:
    append_trades(log, 1, 5)
    with pytest.raises(StoreError):
        Lander(log, "clickhouse://127.0.0.1:1/db", lake, give_up_s=0.1)
    log.append([control_record(LANDINGS_TOPIC, 0, LandingState(mending=True).checkpoint())])
    with pytest.raises(LostTailError, match="was begun and not finished"):
        Lander(log, f"chdb:///{tmp_path / 'own'}", lake)
    assert running_store(tmp_path / "own") is None, "the store that it served itself goes on"
    log.append([control_record(LANDINGS_TOPIC, 0, LandingState().checkpoint())])
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    assert_whole(log, client, lake)


def test_a_topic_that_was_deleted_and_made_anew_is_found_out_by_a_lander_however_old_its_rows(
    log: Log, store_url: str, lake: Path
) -> None:
    """Of the newest few partitions alone it was asked; of others the rows before the position never landed."""
    box, *newer = [topic.inbox_name for topic in inboxes().values()]
    log.append([NewRecord(box, 0, b"{}")] * 5)
    log.append([NewRecord(name, at, b"{}") for name in newer for at in range(2)])
    with Lander(log, store_url, lake) as lander:
        lander.run_until_end()
    config = log.topics()[box]
    log.delete_topic(box)
    log.create_topic(config)
    log.append([NewRecord(box, 0, b"[]")] * 9)
    with pytest.raises(LostTailError, match=rf"stands at offset 5 of {box}\[0\], which ends at 9"):
        Lander(log, store_url, lake)


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


def test_a_step_is_bounded_by_records_where_they_have_no_rows(
    log: Log, store_url: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only rows were counted once: a step took in all of an inbox, however long it was."""
    monkeypatch.setattr("connectors.lander._STEP_ROWS", 50)
    monkeypatch.setattr("connectors.landing_tail._READ_BYTES", 500)
    log.append([NewRecord("trades.in", 0, b"{}" * 50) for _ in range(500)])
    assert largest_intent(log, store_url, lake, "trades.in") <= 60


def test_a_step_is_bounded_by_bytes_where_records_are_giants(
    log: Log, store_url: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.lander._STEP_BYTES", 100_000)
    monkeypatch.setattr("connectors.landing_tail._READ_BYTES", 500)
    log.append([NewRecord("trades.in", 0, bytes(20_000)) for _ in range(30)])
    assert largest_intent(log, store_url, lake, "trades.in") == 5


def largest_intent(log: Log, store_url: str, lake: Path, topic: str) -> int:
    """Land each step at once; the most offsets of a topic that one took."""
    with Lander(log, store_url, lake, lake_flush_ns=0) as lander:
        lander.run_until_end()
    values = [control_value(record) for record in scan_records(log, LANDINGS_TOPIC, 0)]
    spans = [
        end - start
        for value in values
        if value["kind"] == "intent" and value["topic"] == topic
        for _, start, end in value["ranges"]
    ]
    assert sum(spans) == log.end(topic, 0)
    return max(spans)


@pytest.mark.own_process
def test_the_store_may_be_opened_by_the_lander_itself(log: Log, tmp_path: Path, lake: Path) -> None:
    url = f"chdb:///{tmp_path / 'own'}"
    append_trades(log, 1, 5)
    with Lander(log, url, lake) as lander:
        lander.run_until_end()
    with connect(url) as client:
        assert_whole(log, client, lake)
