"""A disk that is full, or may not be written: programs end with what to do, and nothing is lost or doubled after."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from connectors.clickhouse import connect
from connectors.lander import Lander
from connectors.landing_faults import LandingError
from connectors.log import Log, LogError, open_log
from connectors.metrics import RETRIES
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.engines.recount import recount
from schemas.market import TRADES
from tests.connectors.landing_rows import append_trades, positions
from tests.stores import store_process

_MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}; run as root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Take a disk's space up to so many bytes; the file that took it."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free - leave
    with ballast.open("wb") as file, suppress(OSError):
        for _ in range(0, free, _MIB):
            file.write(bytes(min(_MIB, free)))
        file.flush()
    return ballast


def append_until_refused(log: Log) -> tuple[int, LogError]:
    """Append records until the disk is full: how many were acknowledged, and what was said then."""
    for seed in range(10_000):
        try:
            append_trades(log, seed, 1, rows=4_000)
        except LogError as error:
            return seed * 4_000, error
    pytest.fail("the disk took everything")


def retries() -> float:
    """Attempts made again, whatever for."""
    return sum(one.value for one in RETRIES.collect()[0].samples if one.name.endswith("_total"))


def rows_in(log: Log) -> int:
    return sum(batch.num_rows for _, batch in scan_rows(log, TRADES, 0))


def test_a_log_whose_disk_is_full_refuses_keeps_what_it_acknowledged_and_goes_on_with_space(
    small_disk: Path,
) -> None:
    url = f"sqlite:///{small_disk / 'log.db'}"
    with open_log(url) as log:
        create_topics(log, 1)
        ballast = fill(small_disk, 6 * _MIB)
        acknowledged, error = append_until_refused(log)
        for part in (str(small_disk / "log.db"), "the disk is full", "free space"):
            assert part in str(error)
        assert acknowledged > 0
        ballast.unlink()
        # The same process goes on.
        append_trades(log, 1, 1, rows=4_000)
        assert rows_in(log) == acknowledged + 4_000
    with open_log(url) as log:
        assert rows_in(log) == acknowledged + 4_000


def test_a_flow_whose_log_has_no_space_ends_and_its_restart_neither_loses_nor_doubles(
    small_disk: Path,
) -> None:
    url = f"sqlite:///{small_disk / 'log.db'}"
    with open_log(url) as log:
        create_topics(log, 1)
        for seed in range(4):
            append_trades(log, seed, 20, rows=500)
    ballast = fill(small_disk)
    with pytest.raises(LogError, match="the disk is full"), open_log(url) as log:
        run_until_end(log, [Bars])
    ballast.unlink()
    with open_log(url) as log:
        run_until_end(log, [Bars])
        checks = recount(log, Bars)
        assert checks
        assert [check for check in checks if not check.ok] == []


def test_a_lake_whose_disk_is_full_is_waited_for(
    small_disk: Path, sqlite_log: Log, store_url: str
) -> None:
    create_topics(sqlite_log, 1)
    lake = small_disk / "lake"
    with Lander(sqlite_log, store_url, lake, topics=[TRADES]) as lander:
        append_trades(sqlite_log, 1, 5)
        lander.run_until_end()
        ballast = fill(small_disk)
        before = retries()
        append_trades(sqlite_log, 2, 50, rows=400)
        space = threading.Timer(1.0, ballast.unlink)
        space.start()
        lander.run_until_end()
        space.join()
        assert retries() > before
    found = pl.scan_parquet(lake / "trades", hive_partitioning=True)
    landed = found.select("_partition", "_offset", "_row").collect().sort(pl.all()).rows()
    assert landed == sorted(positions(TRADES, sqlite_log))


def test_a_lake_whose_disk_stays_full_ends_the_lander_and_the_next_start_finishes(
    small_disk: Path, sqlite_log: Log, store_url: str
) -> None:
    create_topics(sqlite_log, 1)
    lake = small_disk / "lake"
    lander = Lander(sqlite_log, store_url, lake, topics=[TRADES], give_up_s=0.3)
    ballast = fill(small_disk)
    append_trades(sqlite_log, 2, 50, rows=400)
    with (
        pytest.raises(LandingError, match=r"has been full for .* make room, and start again"),
        lander,
    ):
        lander.run_until_end()
    ballast.unlink()
    with Lander(sqlite_log, store_url, lake, topics=[TRADES]) as lander:
        lander.run_until_end()
    found = pl.scan_parquet(lake / "trades", hive_partitioning=True)
    landed = found.select("_partition", "_offset", "_row").collect().sort(pl.all()).rows()
    assert landed == sorted(positions(TRADES, sqlite_log))


def test_a_store_whose_disk_is_full_is_waited_for(
    small_disk: Path, sqlite_log: Log, tmp_path: Path
) -> None:
    create_topics(sqlite_log, 1)
    url = f"chdb:///{small_disk / 'store'}"
    with store_process(small_disk / "store"), connect(url) as client:
        with Lander(sqlite_log, url, tmp_path / "lake", topics=[TRADES]) as lander:
            append_trades(sqlite_log, 1, 5)
            lander.run_until_end()
            ballast = fill(small_disk)
            before = retries()
            append_trades(sqlite_log, 2, 50, rows=400)
            space = threading.Timer(2.0, ballast.unlink)
            space.start()
            lander.run_until_end()
            space.join()
            assert retries() > before
        statement = "SELECT _partition, _offset, _row FROM trades ORDER BY ALL"
        assert client.query(statement).result_rows == sorted(positions(TRADES, sqlite_log))


def test_a_folder_that_may_not_be_written_is_told_at_the_start(
    small_disk: Path, sqlite_log: Log, store_url: str
) -> None:
    """Each of log, lake and store says which folder, and what to do; not one changes anything."""
    with open_log(f"sqlite:///{small_disk / 'log.db'}") as log:
        create_topics(log, 1)
        append_trades(log, 1, 1)
    create_topics(sqlite_log, 1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        with pytest.raises(
            LogError, match=r"log .*small/.*(read-only|cannot be made|choose a folder)"
        ):
            open_log(f"sqlite:///{small_disk / 'log.db'}")
        with pytest.raises(
            LogError, match=r"log .*small/new.*choose a folder that this user may write"
        ):
            open_log(f"sqlite:///{small_disk / 'new' / 'log.db'}")
        with pytest.raises(LandingError, match=r"lake .*small/lake: .*give this user the right"):
            Lander(sqlite_log, store_url, small_disk / "lake", topics=[TRADES])
        told = subprocess.run(
            [sys.executable, "-m", "serving.cli", "store"],
            env={**os.environ, "TAPEFLOW_STORE": f"chdb:///{small_disk / 'store'}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 1
        assert told.stderr.startswith(f"tapeflow: store {small_disk / 'store'}: ")
        assert "Read-only file system" in told.stderr
        assert "Traceback" not in told.stderr
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_a_feed_whose_log_has_no_space_ends_in_one_line_and_goes_on_where_it_stopped(
    small_disk: Path, tmp_path: Path
) -> None:
    """As an operator meets it: the verb, its exit code and its message."""
    lines = [
        f"AIG,{1_381_152_600_000 + at * 10},{17 + at * 7919 % 9973 / 1e4},100"
        for at in range(400_000)
    ]
    (tmp_path / "day.csv").write_text("\n".join(["s,t,p,q", *lines, ""]))
    mapping = "topic=trades,symbol=s,venue=const:X,ts_event=t:ms,price=p,size=q"
    command = [sys.executable, "-m", "serving.cli", "feed", "--mapping", mapping, "--json"]
    environment = {**os.environ, "TAPEFLOW_HOME": str(small_disk)}
    url = f"sqlite:///{small_disk / 'log.db'}"
    with open_log(url) as log:
        create_topics(log, 1)
    ballast = fill(small_disk, 2 * _MIB)

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, str(tmp_path / "day.csv")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    first = run()
    assert first.returncode == 1
    assert "the disk is full: free space" in first.stderr
    assert "Traceback" not in first.stderr
    ballast.unlink()
    with open_log(url) as log:
        before = rows_in(log)
        assert 0 < before < len(lines)
    second = run()
    assert second.returncode == 0, second.stderr
    assert "goes on behind line" in second.stdout
    with open_log(url) as log:
        assert rows_in(log) == len(lines)
