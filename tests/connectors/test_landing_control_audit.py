"""A file of ``lake/_control`` that is gone, or is another's, fails the audit by its name."""

from pathlib import Path

import pytest

from connectors.lake_control import control_folder, write_control
from connectors.landing_control_audit import control_check
from connectors.log import Log, NewRecord, TopicConfig
from connectors.parquet import FileRange
from connectors.scan import scan_records

NAME = "trades.in"


@pytest.fixture
def lake(sqlite_log: Log, tmp_path: Path) -> Path:
    """Nine records in three files."""
    sqlite_log.create_topic(TopicConfig(name=NAME, partitions=1))
    for first in (0, 3, 6):
        sqlite_log.append([NewRecord(NAME, 0, b"{}") for _ in range(3)])
        records = list(scan_records(sqlite_log, NAME, 0, start=first))
        write_control(tmp_path, NAME, FileRange(0, first, first + 2), records)
    return tmp_path


def file(lake: Path, name: str) -> Path:
    return control_folder(lake, NAME) / f"{name}.parquet"


def test_a_whole_folder_holds(sqlite_log: Log, lake: Path) -> None:
    check = control_check(sqlite_log, lake, {NAME: {0: 9}})
    assert (check.ok, check.terms) == (True, {"landed": 9, "in_files": 9})


def test_what_was_cut_before_anything_landed_is_not_missed(sqlite_log: Log, lake: Path) -> None:
    sqlite_log.trim(NAME, 0, 3)
    file(lake, "0-0-2").unlink()
    assert control_check(sqlite_log, lake, {NAME: {0: 9}}).ok


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (["0-0-2"], "0 to 2"),
        (["0-3-5"], "3 to 5"),
        (["0-6-8"], "6 to 8"),
        (["0-0-2", "0-3-5", "0-6-8"], "0 to 8"),
    ],
)
def test_a_file_that_is_gone_is_named(
    sqlite_log: Log, lake: Path, gone: list[str], told: str
) -> None:
    for name in gone:
        file(lake, name).unlink()
    check = control_check(sqlite_log, lake, {NAME: {0: 9}})
    assert not check.ok
    assert f"no file has offsets {told} of trades.in[0]" in check.detail


def test_all_files_gone_are_missed_where_the_log_is_cut(sqlite_log: Log, lake: Path) -> None:
    sqlite_log.trim(NAME, 0, 9)
    for path in control_folder(lake, NAME).iterdir():
        path.unlink()
    assert not control_check(sqlite_log, lake, {NAME: {0: 9}}).ok


def test_two_files_that_were_swapped_are_told(sqlite_log: Log, lake: Path) -> None:
    one, other, aside = file(lake, "0-0-2"), file(lake, "0-3-5"), lake / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    check = control_check(sqlite_log, lake, {NAME: {0: 9}})
    assert not check.ok
    assert "offsets 3 to 5, others than its name says" in check.detail


def test_a_file_that_cannot_be_read_is_named(sqlite_log: Log, lake: Path) -> None:
    file(lake, "0-3-5").write_bytes(b"PAR1")
    check = control_check(sqlite_log, lake, {NAME: {0: 9}})
    assert not check.ok
    assert "0-3-5.parquet: it cannot be read" in check.detail
