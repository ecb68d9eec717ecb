"""The command line: what is there, what an operating error looks like, what programs may read."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from serving.settings import PREFIX

VERBS = [
    "up",
    "demo",
    "feed",
    "simulate",
    "run",
    "land",
    "clock",
    "store",
    "sql",
    "topics",
    "tail",
    "receipt",
    "audit",
    "replay",
    "serve",
    "users",
    "audit-log",
]


def _environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**kept, "TAPEFLOW_HOME": str(home), **more}


def _tapeflow(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", *arguments],
        env=_environment(home, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose log holds a small simulated market."""
    home = tmp_path_factory.mktemp("simulated")
    done = _tapeflow(home, "simulate", "--rows", "3000", "--symbols", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert sum(orjson.loads(done.stdout)["rows"].values()) >= 3000
    return home


@pytest.fixture
def market(simulated: Path, tmp_path: Path) -> Path:
    """That home, as the test's own."""
    return shutil.copytree(simulated, tmp_path / "home")


def test_every_verb_says_what_it_does(tmp_path: Path) -> None:
    listed = _tapeflow(tmp_path, "--help").stdout
    for verb in VERBS:
        assert f"  {verb} " in listed, verb


def test_help_loads_nothing_that_computes() -> None:
    script = (
        "import sys, serving.cli\n"
        "heavy = ['pyarrow', 'numba', 'polars', 'pandas', 'chdb', 'bytewax', 'rich.live']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        (["topics"], {"TAPEFLOW_PARTITION": "3"}, "nearest known one is 'TAPEFLOW_PARTITIONS'"),
        (["topics"], {"TAPEFLOW_LOG": "mysql://x"}, "must begin with sqlite:/// or kafka://"),
        (["run", "candles"], {}, "no flow 'candles'"),
        (["tail", "trade"], {}, "no topic 'trade'"),
        (["feed", "nowhere.csv"], {}, "nowhere.csv"),
        (["store", "--url"], {}, "no store runs"),
        (["serve", "--url"], {}, "no API runs"),
        (["sql", "SELECT 1 FORMAT Vertical"], {}, "leave FORMAT out"),
        (["store"], {"TAPEFLOW_STORE": "clickhouse://h:8123/d"}, "is a server elsewhere"),
    ],
)
def test_an_operating_error_is_one_message(
    tmp_path: Path, arguments: list[str], more: dict[str, str], message: str
) -> None:
    done = _tapeflow(tmp_path, *arguments, **more)
    assert done.returncode == 1
    assert done.stderr.startswith("tapeflow: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate"],
        ["feed", "x.csv", "--speed", "fast"],
        ["feed", "x.csv", "--from", "yesterday noon"],
        ["tail", "trades", "--from", "middle"],
        ["sql", "SELECT 1", "--format", "xml"],
        ["demo", "--seconds", "2", "--rows", "2"],
        ["run", "--until-end", "--forget-state"],
        ["replay"],
    ],
)
def test_an_option_that_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = _tapeflow(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr


def test_feed_takes_a_calendar_in_place_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at,symbol,price\n2025-01-04T23:00:00Z,A,1\n")
    columns = (
        "topic=trades,symbol=symbol,ts_event=at:rfc3339,price=price,size=const:1,venue=const:X"
    )
    feed = ("feed", str(tmp_path / "t.csv"), "--mapping", columns, "--calendar")
    refused = _tapeflow(tmp_path, *feed, "NOPE")
    assert refused.returncode == 1
    assert refused.stderr.startswith("tapeflow: calendar 'NOPE' is not known")
    fed = _tapeflow(tmp_path, *feed, "24/7", TAPEFLOW_CALENDAR="XNYS")
    assert fed.returncode == 0, fed.stderr


def test_topics_tells_offsets_rows_and_lag(market: Path) -> None:
    before = orjson.loads(_tapeflow(market, "topics", "--rows", "--json").stdout)
    rows = {}
    for one in before["partitions"]:
        rows[one["topic"]] = rows.get(one["topic"], 0) + one["rows"]
    assert sum(rows.values()) >= 3000
    assert before["readers"] == []
    assert not any(one["topic"].startswith("_") for one in before["partitions"])

    assert _tapeflow(market, "run", "bars", "--until-end").returncode == 0
    after = orjson.loads(_tapeflow(market, "topics", "--control", "--json").stdout)
    readers = [one for one in after["readers"] if one["topic"] == "trades"]
    assert [one["lag"] for one in readers] == [0]
    assert sum(one["read"] for one in readers) == rows["trades"]
    assert "_progress.bars" in {one["topic"] for one in after["partitions"]}
    # People get the same in a table.
    assert "trades" in _tapeflow(market, "topics").stdout


def test_tail_prints_a_topics_rows(market: Path) -> None:
    done = _tapeflow(market, "tail", "trades", "--from", "beginning", "--limit", "5", "--json")
    rows = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 5
    assert {"_partition", "_offset", "_row", "symbol", "price", "ts_event"} <= set(rows[0])
    assert rows[0]["symbol"].startswith("SIM")
    # To the present end, watermark rows (the session's end) included.
    all_rows = _tapeflow(market, "tail", "trades", "--from", "beginning", "--json").stdout
    assert any("_watermark" in orjson.loads(line) for line in all_rows.splitlines())
    text = _tapeflow(market, "tail", "_feeds", "--from", "beginning", "--limit", "1").stdout
    assert "value=" in text


def test_tail_waits_for_new_rows_until_it_is_told_to_end(market: Path) -> None:
    tail = subprocess.Popen(
        [sys.executable, "-m", "serving.cli", "tail", "trades", "--json"],
        env=_environment(market),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(3)
        done = _tapeflow(market, "simulate", "--live", "--seconds", "0.5", "--symbols", "3")
        assert done.returncode == 0, done.stderr
        assert tail.stdout is not None
        assert "symbol" in orjson.loads(tail.stdout.readline())
        tail.send_signal(signal.SIGINT)
        tail.communicate(timeout=30)
        assert tail.returncode == 0
    finally:
        tail.kill()
        tail.wait()


def test_repair_says_that_a_whole_log_needs_none(market: Path) -> None:
    done = _tapeflow(market, "topics", "repair")
    assert (done.returncode, done.stdout) == (0, "nothing to mend\n"), done.stderr


def test_a_market_fed_twice_is_refused(market: Path) -> None:
    done = _tapeflow(market, "simulate", "--rows", "3000", "--symbols", "3")
    assert done.returncode == 1
    assert "the market would begin at" in done.stderr
