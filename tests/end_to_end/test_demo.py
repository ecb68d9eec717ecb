"""The whole platform as a new user meets it: `tapeflow demo`, and what its home is good for afterwards."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from serving.demo import demo_settings
from serving.settings import PREFIX
from serving.settings_sources import load_settings

MINUTES = 60
pytestmark = [pytest.mark.slow, pytest.mark.timeout(10 * MINUTES)]
RAW = ("quotes", "trades", "book_events")


def _tapeflow(
    home: Path, *arguments: str, check: bool = True, **more: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(
        [sys.executable, "-m", "serving.cli", *arguments],
        env={**kept, "TAPEFLOW_HOME": str(home), **more},
        capture_output=True,
        text=True,
        timeout=4 * MINUTES,
        check=False,
    )
    assert done.returncode == 0 or not check, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def _demo(home: Path, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(_tapeflow(home, "demo", "--json", *arguments).stdout)
    return told


def _assert_whole(told: dict[str, Any]) -> None:
    for name, counts in told["topics"].items():
        assert counts["in_log"] == counts["in_clickhouse"] == counts["in_lake"], name
        assert told["receipt"][name]["rows"] == counts["in_log"]
    assert told["audit"]["ok"], told["audit"]
    assert told["rows_per_second"] > 0
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]
    assert len(told["queries"]) == 3


def test_a_demo_of_some_rows_ends_with_every_row_accounted_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = _demo(home, "--rows", "60000", "--symbols", "20")
    _assert_whole(told)
    assert sum(told["topics"][name]["in_log"] for name in RAW) >= 60_000
    assert told["topics"]["bars"]["in_log"] > 0
    assert told["home"] == str(home)

    # It can be gone on with: the same receipt, replayed the same, in SQL and straight from the lake.
    receipt = orjson.loads(_tapeflow(home, "receipt", "--json").stdout)
    assert receipt == told["receipt"]
    compared = orjson.loads(_tapeflow(home, "replay", "--compare", "--json").stdout)
    assert compared
    assert all(one["identical"] for one in compared)
    counted = _tapeflow(home, "sql", "SELECT count() FROM trades", "--format", "csv").stdout
    trades = told["topics"]["trades"]["in_log"]
    assert int(counted.split()[-1]) == trades
    assert (
        pl.scan_parquet(home / "lake" / "trades" / "**" / "*.parquet")
        .select(pl.len())
        .collect()
        .item()
        == trades
    )

    # A row that is gone from the lake is seen.
    next((home / "lake" / "trades").rglob("*.parquet")).unlink()
    failed = _tapeflow(home, "audit", "--json", check=False)
    assert failed.returncode == 1
    assert not orjson.loads(failed.stdout)["ok"]


def test_a_live_demo_has_indicators_and_leaves_older_homes_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("not to be touched")
    told = _demo(tmp_path, "--seconds", "4", "--rate", "3000", "--symbols", "10")
    _assert_whole(told)
    assert told["home"] == str(tmp_path / "demo-1")
    assert told["latency_from"] == "ts_event"
    assert told["topics"]["indicators"]["in_log"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo-1", "mine.txt"]
    # Its home says with which parameters it ran, so that a later run goes on with the same.
    _tapeflow(Path(told["home"]), "run", "--until-end")


def test_a_demo_runs_on_given_data(tmp_path: Path) -> None:
    rows = 2000
    frame = pl.DataFrame(
        {
            "symbol": ["ABC", "XYZ"] * (rows // 2),
            "ts_event": pl.Series([1_704_205_800_000 + 250 * at for at in range(rows)]),
            "price": [100.0 + at % 7 for at in range(rows)],
            "size": [10.0] * rows,
            "venue": ["X"] * rows,
        }
    ).with_columns(
        pl.from_epoch("ts_event", "ms").dt.replace_time_zone("UTC").dt.cast_time_unit("ns")
    )
    path = tmp_path / "trades.parquet"
    frame.write_parquet(path)
    mapping = "topic=trades,symbol=symbol,ts_event=ts_event:ns,price=price,size=size,venue=venue"
    told = _demo(tmp_path / "home", "--data", str(path), "--mapping", mapping)
    _assert_whole(told)
    assert told["topics"]["trades"]["in_log"] == rows
    assert told["latency_from"] == "append"
    # 500 s of two symbols: nine whole minutes each, less or more by where the session ends.
    assert told["topics"]["bars"]["in_log"] > 1000


def test_data_that_cannot_be_fed_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("")
    failed = _tapeflow(tmp_path / "home", "demo", "--data", str(path), check=False)
    assert failed.returncode == 1
    assert "empty.csv" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_demo_never_mixes_with_what_is_there(tmp_path: Path) -> None:

    fresh = tmp_path / "fresh"
    settings = load_settings({"TAPEFLOW_HOME": str(fresh)})
    assert demo_settings(settings).home == fresh
    fresh.mkdir()
    assert demo_settings(settings).home == fresh
    (fresh / "log.db").touch()
    assert demo_settings(settings).home == fresh / "demo-1"
    (fresh / "demo-1").mkdir()
    moved = demo_settings(settings)
    assert moved.home == fresh / "demo-2"
    assert moved.log == f"sqlite:///{fresh}/demo-2/log.db"
    elsewhere = load_settings(
        {"TAPEFLOW_HOME": str(fresh), "TAPEFLOW_LOG": "kafka://127.0.0.1:9092"}
    )
    assert demo_settings(elsewhere).log == "kafka://127.0.0.1:9092"
