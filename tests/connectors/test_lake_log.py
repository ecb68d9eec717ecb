"""The lake read as a log: record by record the log that was landed, cut, merged and damaged as lakes are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import lake_log, lake_partition
from connectors.clickhouse import connect, with_database
from connectors.control import FEEDS_TOPIC, control_record
from connectors.lake_control import control_table, write_catalog, write_control
from connectors.lander import Lander
from connectors.log import (
    CorruptLogError,
    Log,
    LogError,
    NewRecord,
    Record,
    TopicConfig,
    TruncatedError,
    UnknownTopicError,
    open_log,
)
from connectors.parquet import FileRange
from connectors.receipts import receipt
from connectors.records import (
    Partitioner,
    decode_rows,
    is_rows,
    rows_record,
    watermarks_batch,
    watermarks_record,
)
from connectors.topics import create_topics
from schemas.market import TRADES
from schemas.registry import TOPICS
from tests.connectors.landing_rows import MIDNIGHT_NS, append_trades, trades_batch
from tests.stores import store_process

_DAY_NS = 86_400_000_000_000
_PARTITIONS = 2


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store that the module shares."""
    path = tmp_path_factory.mktemp("lake-log") / "store"
    with store_process(path):
        yield f"chdb:///{path}"


@pytest.fixture
def store(stores: str) -> str:
    """A database of the test's own: it lands a new log, whose offsets begin at 0 again."""
    name = f"test_{uuid4().hex}"
    with connect(stores) as client:
        client.command(f"CREATE DATABASE {name}")
    return with_database(stores, name)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, _PARTITIONS)
    return sqlite_log


def land(log: Log, store: str, lake: Path) -> None:
    with Lander(log, store, lake) as lander:
        lander.run_until_end()


def lake_of(lake: Path) -> Log:
    return open_log(f"lake:///{lake}")


def records_of(log: Log, name: str, partition: int, *, max_bytes: int = 8 << 20) -> list[Record]:
    at, end = log.start(name, partition), log.end(name, partition)
    found: list[Record] = []
    while at < end:
        chunk = log.read(name, partition, at, max_bytes=max_bytes)
        assert chunk.next_offset > at
        found += chunk.records
        at = chunk.next_offset
    return found


def meaning(record: Record) -> tuple[object, ...]:
    """All of a record but how its dictionaries are coded."""
    value: object = record.value
    if record.topic in TOPICS and is_rows(record):
        value = decode_rows(TOPICS[record.topic], record).to_pylist()
    told = (record.topic, record.partition, record.offset, record.append_time_ns)
    return (*told, record.key, record.headers, value)


def assert_same(log: Log, lake: Path, *, max_bytes: int = 8 << 20) -> int:
    """Every partition of every topic that lands is the same; how many records there are."""
    count = 0
    with lake_of(lake) as again:
        assert again.topics() == log.topics()
        for name, config in log.topics().items():
            if name.startswith(("_landings", "_snapshots.")):
                continue
            for partition in range(config.partitions):
                wanted = records_of(log, name, partition)
                found = records_of(again, name, partition, max_bytes=max_bytes)
                assert list(map(meaning, found)) == list(map(meaning, wanted)), (name, partition)
                if wanted:
                    assert again.end(name, partition) == log.end(name, partition)
                    assert meaning(again.last(name, partition)) == meaning(wanted[-1])
                count += len(wanted)
    return count


def random_records(rng: np.random.Generator, partitions: int) -> list[NewRecord]:
    """Records as they come: rows of any days and sizes, watermarks, foreign bytes, control records, nothing."""
    partitioner = Partitioner(partitions)
    kind = rng.integers(0, 6)
    if kind <= 2:
        start_ns = MIDNIGHT_NS + int(rng.integers(-1, 2)) * _DAY_NS - 20_000_000
        batch = trades_batch(rng, int(rng.integers(1, 60)), start_ns=start_ns)
        headers = (("source", b"a"), ("source", b"b"), ("flow", b"f/1"), ("commit", b"3"))
        return [
            rows_record(TRADES, partition, part, headers=headers[: rng.integers(0, 5)])
            for partition, part in partitioner.split(batch.column("symbol"), batch)
        ]
    if kind == 3:
        marks = watermarks_batch(["S1"], np.array([int(rng.integers(1, 1 << 60))]))
        return [
            watermarks_record("trades", int(rng.integers(partitions)), marks),
            rows_record(TRADES, 0, TRADES.empty()),
        ]
    if kind == 4:
        value = [None, b"", b'{"symbol": "A"}', rng.bytes(300)][rng.integers(4)]
        headers = ((), (("kind", b"rows"), ("rows", b"7"), ("\u00fc", b"\xff")))[rng.integers(2)]
        key = [None, b"", b"k"][rng.integers(3)]
        return [NewRecord("trades.in", int(rng.integers(partitions)), value, key, headers)]
    return [control_record(FEEDS_TOPIC, 0, {"n": int(rng.integers(100))})]


def test_the_lake_gives_every_record_that_landed_as_the_log_does(
    log: Log, store: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_partition, "_WINDOW_ROWS", 300)
    monkeypatch.setattr(lake_log, "_KEPT_BYTES", 200_000)
    rng = np.random.default_rng(1)
    for _ in range(9):
        for _ in range(35):
            log.append(random_records(rng, _PARTITIONS))
        land(log, store, lake)
    assert assert_same(log, lake, max_bytes=5_000) > 300
    merged = [FileRange.of(path.name) for path in (lake / "_control" / "trades").iterdir()]
    assert any(one is not None and one.first == 0 and one.last > 50 for one in merged), (
        "nothing was merged"
    )
    assert receipt(lake_of(lake), [TRADES]) == receipt(log, [TRADES])


def test_a_read_may_begin_at_any_offset(log: Log, store: str, lake: Path) -> None:
    append_trades(log, 3, 30)
    land(log, store, lake)
    with lake_of(lake) as again:
        for offset in np.random.default_rng(1).permutation(log.end("trades", 1)):
            (record,) = again.read("trades", 1, int(offset), max_bytes=1).records
            (wanted,) = log.read("trades", 1, int(offset), max_bytes=1).records
            assert meaning(record) == meaning(wanted)
        assert again.read("trades", 1, log.end("trades", 1)).records == ()
        with pytest.raises(TruncatedError, match="has not landed yet"):
            again.read("trades", 1, log.end("trades", 1) + 1)
        with pytest.raises(UnknownTopicError, match="no such topic"):
            again.read("nothing", 0, 0)


def test_a_log_whose_beginning_was_cut_before_it_landed_begins_there(
    log: Log, store: str, lake: Path
) -> None:
    append_trades(log, 3, 20)
    log.trim("trades", 0, 7)
    land(log, store, lake)
    assert_same(log, lake)
    with lake_of(lake) as again:
        assert again.start("trades", 0) == 7
        with pytest.raises(TruncatedError, match="cut before it landed"):
            again.read("trades", 0, 6)


def test_what_was_cut_from_the_log_after_it_landed_is_in_the_lake(
    log: Log, store: str, lake: Path
) -> None:
    append_trades(log, 3, 20)
    land(log, store, lake)
    wanted = receipt(log, [TRADES])
    log.trim("trades", 0, log.end("trades", 0))
    log.trim("trades", 1, 5)
    append_trades(log, 4, 2)
    land(log, store, lake)
    with lake_of(lake) as again:
        assert again.start("trades", 0) == 0
        assert receipt(again, [TRADES])[0].rows == wanted[0].rows + 80


def test_rows_that_a_merge_spread_over_days_come_back_in_the_order_of_the_log(
    log: Log, store: str, lake: Path
) -> None:
    """One symbol's month after another's: every file's range then overlaps every other's."""
    rng = np.random.default_rng(1)
    for number in range(54):
        batch = trades_batch(rng, 20, start_ns=MIDNIGHT_NS + (number % 3) * _DAY_NS)
        log.append([rows_record(TRADES, 0, batch)])
        if number % 6 == 5:
            land(log, store, lake)
    names = sorted(path.name for path in (lake / "trades").rglob("*.parquet"))
    assert len(names) < 20, "nothing was merged"
    assert_same(log, lake)


def test_nothing_is_written_to_a_lake(log: Log, store: str, lake: Path) -> None:
    land(log, store, lake)
    attempts: list[Callable[[Log], object]] = [
        lambda one: one.append([NewRecord("trades", 0, b"")]),
        lambda one: one.writer("w"),
        lambda one: one.trim("trades", 0, 1),
        lambda one: one.create_topic(TopicConfig(name="x", partitions=1)),
        lambda one: one.delete_topic("trades"),
    ]
    with lake_of(lake) as again:
        for attempt in attempts:
            with pytest.raises(LogError, match="only read"):
                attempt(again)
    with pytest.raises(LogError, match="no log has landed there"):
        open_log(f"lake:///{lake.parent}")
    with pytest.raises(LogError, match="a folder were needed"):
        open_log("lake:///")


@pytest.fixture
def landed(log: Log, store: str, lake: Path) -> Path:
    append_trades(log, 1, 20)
    land(log, store, lake)
    return lake


def test_a_file_of_rows_that_is_gone_is_named_by_its_record(log: Log, landed: Path) -> None:
    min((landed / "trades").rglob("0-*.parquet")).unlink()
    with lake_of(landed) as again:
        with pytest.raises(
            CorruptLogError, match=r"trades\[0\] at offset 0 has \d+ rows by _control, and 0 "
        ):
            records_of(again, "trades", 0)
        assert records_of(again, "trades", 1)


def test_a_control_file_that_is_gone_is_named_by_its_offsets(
    log: Log, store: str, landed: Path
) -> None:
    middle = log.end("trades", 0)
    append_trades(log, 2, 5)
    land(log, store, landed)
    (landed / "_control" / "trades" / f"0-0-{middle - 1}.parquet").unlink()
    append_trades(log, 3, 5)
    land(log, store, landed)
    with lake_of(landed) as again:
        assert again.start("trades", 0) == middle
    (next((landed / "_control" / "trades").glob(f"0-{middle}-*.parquet"))).rename(
        landed / "_control" / "trades" / f"0-0-{middle - 3}.parquet"
    )
    with lake_of(landed) as again, pytest.raises(CorruptLogError, match="no file has offsets"):
        again.read("trades", 0, middle - 1)


@pytest.mark.parametrize("folder", ["trades", "_control/trades"])
def test_a_file_that_is_cut_off_is_named(landed: Path, folder: str) -> None:
    path = min((landed / folder).rglob("0-*.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    wrong = f"{path.name}: it cannot be read as Parquet"
    with lake_of(landed) as again, pytest.raises(CorruptLogError, match=wrong):
        records_of(again, "trades", 0)


def test_rows_that_are_there_twice_are_an_error(landed: Path) -> None:
    path = min((landed / "trades").rglob("0-*.parquet"))
    twice = path.with_name(path.name.replace("0-0-", "0-1-"))
    twice.write_bytes(path.read_bytes())
    with lake_of(landed) as again, pytest.raises(CorruptLogError, match="deleted or doubled"):
        records_of(again, "trades", 0)


def test_a_lake_that_is_merged_while_it_is_read_gives_the_same_records(
    log: Log, store: str, lake: Path
) -> None:
    for seed in range(7):
        append_trades(log, seed, 4)
        land(log, store, lake)
    wanted = list(map(meaning, records_of(log, "trades", 0)))
    with lake_of(lake) as again:
        first = again.read("trades", 0, 0, max_bytes=1)
        files = {path.name for path in (lake / "_control" / "trades").iterdir()}
        for seed in range(7, 10):
            append_trades(log, seed, 4)
            land(log, store, lake)
        assert files - {path.name for path in (lake / "_control" / "trades").iterdir()}
        again.close()  # nothing of it is kept
        assert list(map(meaning, records_of(again, "trades", 0))) == wanted
        assert meaning(first.records[0]) == wanted[0]
        assert meaning(again.last("trades", 0)) == wanted[-1]


def test_offsets_without_records_are_passed(lake: Path) -> None:
    """Kafka's transaction markers have offsets and no records."""
    lake.mkdir()
    write_catalog(lake, {"_x": TopicConfig(name="_x", partitions=1)})

    def control(first: int, last: int, offsets: list[int]) -> None:
        records = [Record("_x", 0, at, at, None, (), str(at).encode()) for at in offsets]
        write_control(lake, "_x", FileRange(0, first, last), records)

    control(0, 3, [0, 1])
    control(4, 5, [])
    control(6, 9, [8])
    control(10, 12, [])
    with lake_of(lake) as again:
        assert again.end("_x", 0) == 13
        assert [one.value for one in records_of(again, "_x", 0)] == [b"0", b"1", b"8"]
        assert again.read("_x", 0, 9).next_offset == 13
        last = again.last("_x", 0)
        assert last is not None
        assert last.offset == 8


def test_control_files_read_alike_with_and_without_records() -> None:
    assert control_table([]).schema == control_table([Record("t", 0, 1, 2, None, (), b"")]).schema


def test_large_rows_make_short_windows(
    log: Log, store: str, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_trades(log, 1, 50)
    land(log, store, lake)
    monkeypatch.setattr(lake_partition, "_WINDOW_BYTES", 10_000)
    seen: list[int] = []
    real = lake_partition.rows_of

    def counted(*args: object) -> pa.RecordBatch:
        rows = real(*args)
        seen.append(rows.num_rows)
        return rows

    monkeypatch.setattr(lake_partition, "rows_of", counted)
    with lake_of(lake) as again:
        records_of(again, "trades", 0)
    assert max(seen) <= 120
    assert sum(seen) == sum(
        pq.read_metadata(path).num_rows for path in (lake / "trades").rglob("0-*.parquet")
    )
