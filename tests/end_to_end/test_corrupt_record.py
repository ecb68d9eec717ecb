"""A record whose bytes are not those that were appended: every reader stops at it and says where; repair mends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.log import open_log
from connectors.scan import scan_rows
from connectors.topics import create_topics
from schemas.market import TRADES
from serving.audit import audit
from tests.connectors.landing_rows import append_trades
from tests.stores import store_process


def tapeflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb as its user would."""
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", *arguments],
        env={**os.environ, "TAPEFLOW_HOME": str(home), "TAPEFLOW_RUN_FLOWS": "bars"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A log of ten records of trades, of which the seventh has a byte turned over."""
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, 1)
        append_trades(log, 1, 9, rows=400)
        (record,) = log.read("trades", 0, 6, max_bytes=1).records
        value = record.value or b""
    file = tmp_path / "log.db"
    data = bytearray(file.read_bytes())
    # From the middle of its columns: a codec would read on without a word.
    at = data.find(value[len(value) // 2 :][:64])
    assert at > 0
    data[at] ^= 0xFF
    file.write_bytes(data)
    return tmp_path


def test_flows_lander_and_tail_stop_at_it_and_repair_lets_them_go_on(home: Path) -> None:
    verbs = (
        ["run", "--until-end"],
        ["land", "--until-end"],
        ["tail", "trades", "--from", "beginning", "--limit", "100000"],
    )
    for verb in verbs:
        done = tapeflow(home, *verb)
        assert done.returncode == 1, verb
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("tapeflow: "), verb
        for part in ("trades[0]", "offset 6", "topics repair"):
            assert part in last, verb
        assert "Traceback" not in done.stderr
    looked = tapeflow(home, "topics", "repair")
    assert looked.returncode == 0, looked.stderr
    assert "trades[0]: removed offsets 6 to 8, 3 records" in looked.stdout
    assert "nothing was changed: --yes does it" in looked.stdout
    mended = tapeflow(home, "topics", "repair", "--yes")
    assert mended.returncode == 0, mended.stderr
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        assert sum(batch.num_rows for _, batch in scan_rows(log, TRADES, 0)) == 6 * 400
        append_trades(log, 2, 1)
    for verb in verbs[:2]:
        done = tapeflow(home, *verb)
        assert done.returncode == 0, (verb, done.stdout, done.stderr)
    with open_log(f"sqlite:///{home / 'log.db'}") as log, store_process(home / "store"):
        checks = audit(log, f"chdb:///{home / 'store'}", home / "lake")
        assert checks
        assert [check for check in checks if not check.ok] == []
