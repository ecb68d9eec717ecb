"""The lander where something dies, itself or the store: every row is once in each sink in the end."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from connectors import crash_points
from connectors.clickhouse import connect
from connectors.lander import Lander
from connectors.landings import read_state
from connectors.log import Log
from connectors.topics import create_topics
from tests.connectors.landing_rows import append_trades
from tests.connectors.sinks import assert_whole
from tests.stores import store_process


class CrashError(Exception):
    """The crash that a test asked for."""


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 2)
    return sqlite_log


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
