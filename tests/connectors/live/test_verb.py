"""`tapeflow feed --live`: a mapping, credentials from the environment, a recording, and what is said where."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.clock import Clock
from connectors.log import Log, open_log
from connectors.records import decode_watermarks, is_watermarks
from serving.cli import app
from tests.connectors.live.conftest import IMPATIENT, feeding, records, rows
from tests.connectors.live.test_client import SECRET, adapter, trade
from tests.connectors.live.venue import Hear, Say, Venue

MAPPING = """
name = "market"
url = "ws://127.0.0.1:1/none"
subscribe = ['{"subscribe":{symbols},"key":"${market_key}"}']

[[messages]]
topic = "trades"
when = { type = "match" }
sequence = "n"
[messages.fields]
symbol = "symbol"
venue = { value = "MARKET" }
ts_event = { path = "time", unit = "iso" }
price = "price"
size = "size"
trade_id = "n"
"""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A verb that runs in this process must not keep its signals."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def tapeflow(home: Path, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: text for name, text in os.environ.items() if not name.startswith("TAPEFLOW")
    }
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", *words],
        env={**environment, "TAPEFLOW_HOME": str(home), **changed},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_mapping_is_fed_and_recorded_and_its_recording_gives_the_same_rows(
    tmp_path: Path,
) -> None:
    mapping = tmp_path / "market.toml"
    mapping.write_text(MAPPING)
    wire = tmp_path / "wire.jsonl"
    said = [Hear(), *(Say(trade(n)) for n in (1, 2, 4, 4)), Say("nonsense")]
    with Venue([said]).running() as venue:
        done = tapeflow(
            tmp_path / "live",
            *("feed", "--live", str(mapping), "--symbols", "ACME, OTHER", "--url", venue.url),
            *("--capture", str(wire), "--seconds", "4", "--json"),
            *("--source", "market.first"),
            TAPEFLOW_CREDENTIALS=json.dumps({"market_key": SECRET}),
        )
    assert done.returncode == 0, done.stderr
    assert venue.heard == [
        json.dumps({"subscribe": ["ACME", "OTHER"], "key": SECRET}, separators=(",", ":"))
    ]
    counts = json.loads(done.stdout)
    assert (counts["messages"], counts["rows"], counts["rejected"]) == (5, {"trades": 3}, 1)
    assert counts["events"] == {"connected": 1, "gap": 1, "duplicate": 1, "disconnected": 1}
    assert SECRET not in done.stdout + done.stderr + wire.read_text()
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
        "connected",
        "disconnected",
    ]

    again = tapeflow(
        tmp_path / "again", "feed", str(wire), "--recorded-from", str(mapping), "--json"
    )
    assert again.returncode == 0, again.stderr
    with (
        open_log(f"sqlite:///{tmp_path / 'live' / 'log.db'}") as live,
        open_log(f"sqlite:///{tmp_path / 'again' / 'log.db'}") as other,
    ):
        # The receive times too: the recording has them.
        assert rows(live, "trades") == rows(other, "trades") != []
        (letter,), (line,) = rows(live, "dead_letter"), rows(other, "dead_letter")
    assert (letter["source_topic"], line["source_topic"]) == (
        "market.first",
        f"{tmp_path.name}/wire.jsonl",
    )
    received = int(wire.read_text().splitlines()[-1].split(" ")[0])
    assert (letter["source_offset"], line["source_offset"]) == (received, 5)
    assert letter["payload"] == line["payload"] == b"nonsense"
    fed = tapeflow(tmp_path / "again", "feed", str(wire), "--recorded-from", str(mapping))
    assert fed.returncode == 1
    assert "was fed before" in fed.stderr
    taken = tapeflow(
        tmp_path / "live",
        "feed",
        "--live",
        str(mapping),
        "--symbols",
        "A",
        "--capture",
        str(wire),
        TAPEFLOW_CREDENTIALS=json.dumps({"market_key": SECRET}),
    )
    assert (taken.returncode, "is there already" in taken.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--live", "bitbarn"], "no live source 'bitbarn'; there are binance,"),
        (["--live", "binance"], "say --symbols BTCUSDT,ETHUSDT"),
        (["--live", "binance", "--symbols", "A", "--channels", "trade,aggTrade"], "same trades"),
        (["--live", "binance", "--symbols", "A", "--channels", "news"], "no channel 'news'"),
        (["--live", "binance", "--symbols", ",".join(f"S{n}" for n in range(342))], "1026 streams"),
        (["--live", "alpaca", "--symbols", "A"], "needs the credential alpaca_key"),
        (["--live", "none.toml"], "none.toml"),
    ],
)
def test_what_cannot_be_fed_is_said(words: list[str], said: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["feed", *words], env={"TAPEFLOW_HOME": str(tmp_path)})
    assert said in str(done.exception)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["x", "--live", "binance"],
        ["--recorded-from", "binance"],
        ["x", "--live", "a", "--recorded-from", "b"],
    ],
)
def test_it_is_either_files_or_a_live_source(words: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["feed", *words], env={"TAPEFLOW_HOME": str(tmp_path)})
    assert (done.exit_code, "--live SOURCE" in done.output.replace("\n", " ")) == (2, True)


def test_the_clock_closes_the_quiet_symbols_of_a_live_source(log: Log) -> None:
    script = [Hear(), Say(trade(5, "QUIET")), Say(trade(30, "BUSY"))]
    with Venue([script]).running() as venue, feeding(log, adapter(venue), IMPATIENT) as running:
        running.until(lambda: len(rows(log, "trades")) == 2)
    clock = Clock(log, lateness_ns=1_000_000_000)
    assert clock.read() > 0
    clock.tick()
    clock.close()
    said: dict[str, int] = {}
    for record in filter(is_watermarks, records(log, "trades")):
        batch = decode_watermarks(record)
        times = batch["ts_event"].cast("int64").to_pylist()
        said |= dict(zip(batch["key"].to_pylist(), times, strict=True))
    # A second behind the busy one's newest row, and since then time has gone on.
    (newest,) = (row["ts_event"] for row in rows(log, "trades") if row["symbol"] == "BUSY")
    assert said["QUIET"] >= newest - 1_000_000_000
