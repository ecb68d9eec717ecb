"""Receipt, replay and audit from the lake alone, after the log's own file is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson

from connectors.lander import Lander
from connectors.log import Log, open_log
from connectors.receipts import receipt
from connectors.scan import scan_records
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.engines.recount import recount
from flows.indicators import Indicators
from flows.intake import Intake
from schemas.bars import BARS
from schemas.market import TRADES
from schemas.registry import TOPICS
from serving.receipt import receipt_value
from serving.replay import comparison_value, comparisons
from tests.connectors.landing_rows import append_trades
from tests.serving.proofs import land, worked

_FLOWS = (Intake, Bars, Indicators)


def test_the_lake_alone_gives_the_same_receipt_replay_and_audit(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    worked(sqlite_log, store_url, lake)
    topics = list(TOPICS.values())
    wanted = receipt(sqlite_log, topics)
    replayed = [comparison_value(one) for one in comparisons(sqlite_log, ["intake", "bars"])]
    counted = [one.terms for kind in _FLOWS for one in recount(sqlite_log, kind)]
    sqlite_log.close()
    for path in tmp_path.glob("log.db*"):
        if path.is_file():
            path.unlink()
    with open_log(f"lake:///{lake}") as again:
        assert receipt(again, topics) == wanted
        found = comparisons(again, ["intake", "bars"])
        assert all(one.identical for one in found)
        assert [comparison_value(one) for one in found] == replayed
        checks = [one for kind in _FLOWS for one in recount(again, kind)]
        assert [one.terms for one in checks] == counted
        assert all(one.ok for one in checks)


def test_the_verbs_read_a_lake_as_a_log(sqlite_log: Log, store_url: str, tmp_path: Path) -> None:
    worked(sqlite_log, store_url, tmp_path / "lake")
    lake = f"lake:///{tmp_path / 'lake'}"
    environment = {**os.environ, "TAPEFLOW_LOG": lake, "TAPEFLOW_CONFIG": ""}
    command = [sys.executable, "-m", "serving.cli", "receipt", "trades", "bars", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert orjson.loads(done.stdout) == receipt_value(receipt(sqlite_log, [TRADES, BARS]))


_FLOWING = """
import sys, threading
from connectors.log import open_log
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.indicators import Indicators
with open_log(sys.argv[1]) as log:
    print("begun", flush=True)
    while True:
        run_until_end(log, [Bars, Indicators])
"""


def test_a_lake_whose_lander_was_killed_while_flows_ran_is_replayed_the_same(
    sqlite_log: Log, store_url: str, tmp_path: Path
) -> None:
    """Its newest records end anywhere, within commits too; progress speaks of nothing that is not there."""
    lake = tmp_path / "lake"
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 5)
    run_until_end(sqlite_log, [Bars, Indicators])
    command = [sys.executable, "-c", _FLOWING, sqlite_log.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as flows:
        try:
            assert flows.stdout is not None
            flows.stdout.readline()
            for number in range(4):
                append_trades(sqlite_log, 10 + number, 20)
                lander = Lander(sqlite_log, store_url, lake, lake_flush_ns=1)
                for _ in range(4):
                    lander._step()
                    append_trades(sqlite_log, 100 + number, 3)
                # As if killed: nothing is flushed.
                lander.close()
                time.sleep(0.05)
        finally:
            flows.send_signal(signal.SIGKILL)
    with open_log(f"lake:///{lake}") as again:
        found = comparisons(again, ["bars", "indicators"])
        assert {one.flow for one in found} == {"bars", "indicators"}
        assert all(one.identical for one in found), found
        checks = [one for kind in (Bars, Indicators) for one in recount(again, kind)]
        assert all(one.ok for one in checks), [one for one in checks if not one.ok]
        landed = sum(1 for _ in scan_records(again, "trades", 0))
    assert 0 < landed < sum(1 for _ in scan_records(sqlite_log, TRADES.name, 0)) + 1
    land(sqlite_log, store_url, lake)
    with open_log(f"lake:///{lake}") as again:
        topics = list(TOPICS.values())
        assert receipt(again, topics) == receipt(sqlite_log, topics)
