"""The audit of what landed, beside a lander at work."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from connectors import landing_audit
from connectors.lake_compaction import FILES_MIN, Compactor
from connectors.lake_control import control_folder, sort_control
from connectors.lake_log import LakeLog
from connectors.lander import Lander
from connectors.lander_sinks import LakeSink
from connectors.landing_audit import landing_checks
from connectors.log import Log
from connectors.parquet import sort_rows
from connectors.topics import create_topics
from schemas.market import TRADES
from tests.connectors.landing_rows import append_trades


def merge(lake: Path) -> int:
    """As a lander merges them; how many files are gone."""
    compactor = Compactor(lake)
    rows = sum(
        compactor.compact(folder, partial(sort_rows, TRADES))
        for folder in sorted((lake / "trades").iterdir())
    )
    return rows + compactor.compact(control_folder(lake, "trades"), sort_control)


def land_files(log: Log, store_url: str, lake: Path, count: int) -> None:
    """So many records of trades, each in a file of its own."""
    for seed in range(count):
        append_trades(log, seed, 2)
        with Lander(log, store_url, lake) as lander:
            lander.run_until_end()


def test_files_that_are_merged_while_they_are_counted_are_counted_all_the_same(
    sqlite_log: Log, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit beside a lander ended with the name of a file whose rows were in another one by then."""
    lake = tmp_path / "lake"
    create_topics(sqlite_log, 1)
    monkeypatch.setattr(LakeSink, "compact", lambda _: None)
    land_files(sqlite_log, store_url, lake, FILES_MIN + 1)
    sqlite_log.trim("trades", 0, 3)
    asked: list[int] = []
    collected = landing_audit._collected

    def merged_meanwhile(counted: pl.LazyFrame, files: Sequence[Path]) -> pl.DataFrame:
        asked.append(len(files))
        if len(asked) == 1:
            assert merge(lake) > 0
        return collected(counted, files)

    monkeypatch.setattr(landing_audit, "_collected", merged_meanwhile)
    as_it_was = LakeLog(f"lake:///{lake}")
    checks = [one for one in landing_checks(sqlite_log, store_url, lake) if "trades" in one.subject]
    assert asked[1] < asked[0]
    assert [one.ok for one in checks] == [True, True]
    newest, of_log = as_it_was.last("trades", 0), sqlite_log.last("trades", 0)
    assert newest is not None
    assert of_log is not None
    assert newest.offset == of_log.offset


def test_two_files_of_rows_that_were_swapped_are_told(
    sqlite_log: Log, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows are there and were counted; who reads the lake as a log finds files by their names, and not the rows."""
    lake = tmp_path / "lake"
    create_topics(sqlite_log, 1)
    monkeypatch.setattr(LakeSink, "compact", lambda _: None)
    land_files(sqlite_log, store_url, lake, 2)
    one, other = sorted(next((lake / "trades").iterdir()).iterdir())
    aside = tmp_path / "aside"
    for path, name in ((one, aside), (other, one), (aside, other)):
        path.rename(name)
    (wrong,) = [one for one in landing_checks(sqlite_log, store_url, lake) if not one.ok]
    assert wrong.subject == "lander: trades"
    assert f"{one}: it has offsets" in wrong.detail
    assert "others than its name says" in wrong.detail
