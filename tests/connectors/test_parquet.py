"""The lake as its readers see it: Polars, DuckDB, pandas and pyarrow, before, after and while it is compacted."""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from connectors import lake_compaction
from connectors.crash_points import arm, disarm
from connectors.lake_compaction import FILES_MIN, CompactionUnsupportedError, Compactor
from connectors.landed import Decoded, landed_table
from connectors.log import CorruptLogError, Record
from connectors.parquet import (
    FileRange,
    LakeError,
    lake_folder,
    sort_rows,
    topic_files,
    write_range,
)
from schemas.landed import landed_schema
from schemas.market import TRADES
from schemas.topic import Partition
from tests.connectors.landing_rows import MIDNIGHT_NS, trades_batch
from tests.full_disk import room_of


def rows_of(offset: int, *, rows: int = 50, partition: int = 0, start_ns: int) -> pa.Table:
    rng = np.random.default_rng(offset)
    batch = trades_batch(rng, rows, start_ns=start_ns)
    record = Record("trades", partition, offset, start_ns, None, (), None)
    return landed_table(TRADES, [Decoded(record, batch)])


def write_files(lake: Path, files: int, *, start_ns: int = MIDNIGHT_NS) -> int:
    """Write small files of one date and two partitions; the rows written."""
    for number in range(files):
        for partition in range(2):
            rows = rows_of(number, partition=partition, start_ns=start_ns + number * 1_000_000_000)
            write_range(lake, TRADES, FileRange(partition, number, number), rows)
    return files * 2 * 50


def test_a_file_is_sorted_by_key_and_time_and_named_after_its_range(tmp_path: Path) -> None:
    rows = rows_of(7, rows=1000, start_ns=MIDNIGHT_NS)
    (path,) = write_range(tmp_path, TRADES, FileRange(1, 5, 9), rows)
    assert path == tmp_path / "trades" / "date=2024-03-02" / "1-5-9.parquet"
    found = pl.read_parquet(path, hive_partitioning=False)
    wanted = pl.from_arrow(rows)
    assert isinstance(wanted, pl.DataFrame)
    keys = [pl.col("symbol").cast(pl.String), "ts_event", "_offset", "_row"]
    assert found.rows() == wanted.sort(keys).rows()


def test_rows_of_one_key_and_time_stay_in_log_order(tmp_path: Path) -> None:
    rows = rows_of(7, rows=500, start_ns=MIDNIGHT_NS)
    at = rows.schema.get_field_index("ts_event")
    same = pa.array(np.full(500, MIDNIGHT_NS)).cast(rows.schema.field(at).type)
    rows = rows.set_column(at, rows.schema.field(at), same)
    (path,) = write_range(tmp_path, TRADES, FileRange(1, 5, 9), rows)
    found = pl.read_parquet(path, hive_partitioning=False)
    assert found.filter(pl.col("symbol").cast(pl.String) == "S3")["_row"].is_sorted()


def test_rows_are_cut_by_utc_date_of_their_event_time(tmp_path: Path) -> None:
    rows = rows_of(1, rows=200, start_ns=MIDNIGHT_NS - 100_000_000)
    paths = write_range(tmp_path, TRADES, FileRange(0, 1, 1), rows)
    assert [path.parent.name for path in paths] == ["date=2024-03-01", "date=2024-03-02"]
    assert [pq.read_metadata(path).num_rows for path in paths] == [100, 100]
    late = pl.read_parquet(paths[0])["ts_event"].max()
    assert late is not None
    assert late.date() == date(2024, 3, 1)


@pytest.mark.parametrize(
    ("cut", "folders"),
    [
        (Partition.MONTH, ["month=2023-12", "month=2024-01", "month=2024-03"]),
        (Partition.YEAR, ["year=2023", "year=2024"]),
    ],
)
def test_a_slow_topic_has_folders_by_month_or_year_that_readers_filter_by(
    tmp_path: Path, cut: Partition, folders: list[str]
) -> None:
    slow = replace(TRADES, landing=replace(TRADES.landing, partition_by=cut))
    day_ns = 86_400_000_000_000
    starts = [MIDNIGHT_NS, MIDNIGHT_NS - 62 * day_ns, MIDNIGHT_NS - 32 * day_ns]
    starts += [MIDNIGHT_NS - 60 * day_ns - 1_000_000]
    tables = [rows_of(1, rows=10, start_ns=start_ns) for start_ns in starts]
    rows = pa.concat_tables(tables).combine_chunks()
    paths = write_range(tmp_path, slow, FileRange(0, 1, 1), rows)
    assert [path.parent.name for path in paths] == folders
    assert topic_files(tmp_path, slow) == paths
    name, _, value = folders[0].partition("=")
    value = int(value) if cut is Partition.YEAR else value
    folder = tmp_path / "trades"
    found = pl.scan_parquet(folder, hive_partitioning=True).filter(pl.col(name) == value).collect()
    duck = duckdb.sql(
        f"SELECT count(*) FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true) "
        f"WHERE {name} = '{value}'"
    ).fetchall()
    arrow = ds.dataset(folder, partitioning="hive").to_table(filter=ds.field(name) == value)
    assert found.height == arrow.num_rows == duck[0][0] == pq.read_metadata(paths[0]).num_rows
    with pytest.raises(LakeError, match=f"has folders {name}=…, and trades is cut by date now"):
        topic_files(tmp_path, TRADES)


def test_the_schema_has_units_and_meanings_and_statistics_are_on(tmp_path: Path) -> None:
    (path,) = write_range(tmp_path, TRADES, FileRange(0, 1, 1), rows_of(1, start_ns=MIDNIGHT_NS))
    assert pq.read_schema(path).equals(landed_schema(TRADES), check_metadata=True)
    group = pq.read_metadata(path).row_group(0)
    for at in range(group.num_columns):
        column = group.column(at)
        assert column.is_stats_set, column.path_in_schema
        assert column.compression == "ZSTD"


def test_the_same_range_again_replaces_its_file(tmp_path: Path) -> None:
    rows = rows_of(1, start_ns=MIDNIGHT_NS)
    (path,) = write_range(tmp_path, TRADES, FileRange(0, 1, 1), rows)
    before = path.read_bytes()
    write_range(tmp_path, TRADES, FileRange(0, 1, 1), rows)
    assert [one.name for one in path.parent.iterdir()] == ["0-1-1.parquet"]
    assert path.read_bytes() == before


def _arrow_counts(rows: pa.Table) -> tuple[int, int]:
    frame = pl.from_arrow(rows.select(["_partition", "_offset", "_row"]))
    assert isinstance(frame, pl.DataFrame)
    return frame.height, frame.n_unique()


# Rows, and different rows, of one date.
READERS: dict[str, Callable[[Path], tuple[int, int]]] = {
    "polars": lambda folder: (
        pl.scan_parquet(folder, hive_partitioning=True)
        .filter(pl.col("date") == date(2024, 3, 2))
        .select(pl.len(), n=pl.struct("_partition", "_offset", "_row").n_unique())
        .collect()
        .row(0)
    ),
    "duckdb": lambda folder: duckdb.sql(
        "SELECT count(*), count(DISTINCT (_partition, _offset, _row)) FROM "
        f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true) WHERE date = '2024-03-02'"
    ).fetchall()[0],
    "pandas": lambda folder: _arrow_counts(
        pa.Table.from_pandas(pd.read_parquet(folder, filters=[("date", "==", "2024-03-02")]))
    ),
    "pyarrow": lambda folder: _arrow_counts(
        ds.dataset(folder, partitioning="hive").to_table(filter=ds.field("date") == "2024-03-02")
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_take_the_folder_as_it_is(tmp_path: Path, reader: str) -> None:
    wanted = write_files(tmp_path, 12)
    write_files(tmp_path, 2, start_ns=MIDNIGHT_NS - 86_400_000_000_000)
    folder = tmp_path / "trades"
    # What a killed writer leaves is seen by no reader.
    (tmp_path / ".writing" / "trades-date=2024-03-02-0-99-99.parquet").write_bytes(b"half")
    assert READERS[reader](folder) == (wanted, wanted)
    compactor = Compactor(tmp_path)
    assert compactor.compact(folder / "date=2024-03-02", partial(sort_rows, TRADES)) == 22
    names = sorted(path.name for path in (folder / "date=2024-03-02").glob("*.parquet"))
    assert names == ["0-0-11.parquet", "1-0-11.parquet"]
    assert READERS[reader](folder) == (wanted, wanted)


def test_a_compacted_file_holds_the_same_rows_sorted(tmp_path: Path) -> None:
    write_files(tmp_path, FILES_MIN)
    folder = tmp_path / "trades" / "date=2024-03-02"
    order = [pl.col("symbol").cast(pl.String), "ts_event", "_offset", "_row"]
    before = pl.read_parquet(folder / "0-*.parquet", hive_partitioning=False).sort(order)
    Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    after = pl.read_parquet(folder / f"0-0-{FILES_MIN - 1}.parquet", hive_partitioning=False)
    assert after.rows() == before.rows()
    assert pq.read_schema(folder / f"0-0-{FILES_MIN - 1}.parquet").metadata[b"topic"] == b"trades"


def test_large_files_and_few_files_are_left_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, FILES_MIN - 1)
    folder = tmp_path / "trades" / "date=2024-03-02"
    compactor = Compactor(tmp_path)
    assert compactor.compact(folder, partial(sort_rows, TRADES)) == 0
    write_files(tmp_path, FILES_MIN)
    monkeypatch.setattr(lake_compaction, "TARGET_ROWS", 99)
    assert compactor.compact(folder, partial(sort_rows, TRADES)) == 0
    assert len(list(folder.iterdir())) == 2 * FILES_MIN


@pytest.mark.parametrize("reader", ["polars", "duckdb", "pandas", "pyarrow"])
def test_a_reader_beside_a_compaction_sees_every_row_once_or_an_error(
    tmp_path: Path, reader: str
) -> None:
    folder = tmp_path / "trades"
    compactor = Compactor(tmp_path)
    wrong: list[tuple[int, int]] = []
    right = 0
    written = write_files(tmp_path, FILES_MIN)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            compactor.compact(folder / "date=2024-03-02", partial(sort_rows, TRADES))
            # The small files again, in place of the merged one, by the same exchange.
            staged = tmp_path / ".again"
            shutil.rmtree(staged, ignore_errors=True)
            write_files(staged, FILES_MIN)
            lake_compaction._exchange(
                folder / "date=2024-03-02", staged / "trades" / "date=2024-03-02"
            )

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(60):
            try:
                count = READERS[reader](folder)
            except (OSError, pl.exceptions.PolarsError, duckdb.Error):
                continue
            if count == (written, written):
                right += 1
            else:
                wrong.append(count)
    finally:
        stop.set()
        thread.join()
    assert not wrong
    assert right


@pytest.mark.parametrize("at", ["_exchange", "write_synced", "sync_folder"])
def test_a_crash_in_a_compaction_leaves_the_folder_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    wanted = write_files(tmp_path, FILES_MIN)
    folder = tmp_path / "trades" / "date=2024-03-02"

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lake_compaction, at, crash)
    with pytest.raises(KeyboardInterrupt):
        Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    monkeypatch.undo()
    assert READERS["pyarrow"](tmp_path / "trades") == (wanted, wanted)
    assert (tmp_path / ".compaction").exists()
    compactor = Compactor(tmp_path)
    assert not (tmp_path / ".compaction").exists(), (
        "what the crash left is removed at the next start"
    )
    compactor.compact(folder, partial(sort_rows, TRADES))
    assert READERS["pyarrow"](tmp_path / "trades") == (wanted, wanted)


def test_a_compaction_that_finds_no_room_gives_back_what_it_took(tmp_path: Path) -> None:
    """Half a merged file stayed until the lander's next start: compaction itself filled the disk for the rows."""
    wanted = write_files(tmp_path, FILES_MIN)
    folder = tmp_path / "trades" / "date=2024-03-02"
    compactor = Compactor(tmp_path)
    with room_of(2_000), pytest.raises(OSError, match="too large"):
        compactor.compact(folder, partial(sort_rows, TRADES))
    assert list((tmp_path / ".compaction").iterdir()) == []
    assert compactor.compact(folder, partial(sort_rows, TRADES)) == 2 * (FILES_MIN - 1)
    assert READERS["polars"](tmp_path / "trades") == (wanted, wanted)


@pytest.mark.parametrize("point", ["compaction: before swap", "compaction: after swap"])
def test_a_crash_around_the_swap_leaves_every_row_once(tmp_path: Path, point: str) -> None:
    wanted = write_files(tmp_path, FILES_MIN)
    folder = tmp_path / "trades" / "date=2024-03-02"

    def crash() -> None:
        raise KeyboardInterrupt

    arm(point, 1, crash)
    try:
        with pytest.raises(KeyboardInterrupt):
            Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    finally:
        disarm()
    assert len(list(folder.iterdir())) == (2 if "after" in point else 2 * FILES_MIN)
    for reader in READERS.values():
        assert reader(tmp_path / "trades") == (wanted, wanted)
    Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    assert len(list(folder.iterdir())) == 2
    assert READERS["polars"](tmp_path / "trades") == (wanted, wanted)


def test_only_neighbours_are_merged_so_that_names_never_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_compaction, "TARGET_ROWS", 1_000)
    for number in range(2 * FILES_MIN + 1):
        rows = 900 if number == FILES_MIN else 20
        table = rows_of(number, rows=rows, start_ns=MIDNIGHT_NS)
        write_range(tmp_path, TRADES, FileRange(0, number, number), table)
    folder = tmp_path / "trades" / "date=2024-03-02"
    Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["0-0-7.parquet", "0-8-8.parquet", "0-9-16.parquet"]


def test_files_of_large_rows_are_merged_up_to_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, 2 * FILES_MIN)
    folder = tmp_path / "trades" / "date=2024-03-02"
    metadata = pq.read_metadata(folder / "0-0-0.parquet")
    monkeypatch.setattr(
        lake_compaction, "TARGET_BYTES", int(8.5 * metadata.row_group(0).total_byte_size)
    )
    Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    assert sorted(path.name for path in folder.glob("0-*")) == ["0-0-7.parquet", "0-8-15.parquet"]


@pytest.mark.parametrize("kept", [-10, -4_000])
def test_a_damaged_file_is_named_by_who_would_merge_it(tmp_path: Path, kept: int) -> None:
    """The lander ended with Arrow's own words, which name no file."""
    write_files(tmp_path, FILES_MIN)
    folder = tmp_path / "trades" / "date=2024-03-02"
    damaged = folder / "0-3-3.parquet"
    whole = damaged.read_bytes()
    # Its end is gone, or what lies before that: then its footer can still be read.
    damaged.write_bytes(whole[:kept] if kept == -10 else bytes(len(whole) + kept) + whole[kept:])
    before = sorted(folder.iterdir())
    with pytest.raises(CorruptLogError, match=r"(?s)0-3-3\.parquet.*bring it back from a copy"):
        Compactor(tmp_path).compact(folder, partial(sort_rows, TRADES))
    assert sorted(folder.iterdir()) == before


def test_a_file_system_that_cannot_exchange_says_so_and_keeps_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = write_files(tmp_path, FILES_MIN)
    monkeypatch.setattr(lake_compaction, "_RENAME_EXCHANGE", 1 << 20)  # a flag no kernel knows
    with pytest.raises(CompactionUnsupportedError, match="small files stay"):
        Compactor(tmp_path).compact(
            tmp_path / "trades" / "date=2024-03-02", partial(sort_rows, TRADES)
        )
    assert READERS["polars"](tmp_path / "trades") == (wanted, wanted)


def test_a_lake_elsewhere_is_refused(tmp_path: Path) -> None:
    assert lake_folder(f"file://{tmp_path}") == tmp_path.resolve()
    assert lake_folder(os.fspath(tmp_path)) == tmp_path.resolve()
    with pytest.raises(LakeError, match="must be a folder"):
        lake_folder("s3://bucket/lake")
