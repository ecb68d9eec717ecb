"""The whole platform as `tapeflow up` starts it, with a market that goes on, for tests and the screenshot."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from time import time_ns
from typing import Any

import psutil

from connectors.feeds.simulate import SimulateOptions, simulate
from connectors.feeds.simulator import SimulatorOptions
from connectors.log import Log, open_log
from connectors.records import Partitioner, rows_record
from infra.free_ports import free_ports
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from schemas.topic import Topic
from serving import client
from serving.api.address import running_api
from serving.settings import PREFIX

ACCOUNT = "ACC-1"
REAL_SYMBOLS = ("AIG", "IBM")
# What the page needs; the others would only take time from these.
FLOWS = ("bars", "indicators", "marks", "oms", "execution", "positions")
_TOKEN = re.compile(r"one-time token (\S+)")
_START_S = 900.0
_PAST_S = 1800
_PAST = SimulatorOptions(seed=3, symbols=3, rate=30)
# On the next day: the past's own day is closed behind it.
_SIMULATED = replace(_PAST, rate=300, start_ns=_PAST.start_ns + 86_400 * 10**9)


@dataclass(frozen=True)
class Platform:
    """A platform that runs.

    Parameters
    ----------
    url : str
        Of the API.
    home : Path
        Its folder.
    token : str
        One-time token of the first admin.
    symbols : tuple of str
        What is traded; the first is the busiest.
    pid : int
        Of `tapeflow up`.
    """

    url: str
    home: Path
    token: str
    symbols: tuple[str, ...]
    pid: int

    def log(self) -> Log:
        """Its log; to be closed."""
        return open_log(f"sqlite:///{self.home / 'log.db'}")

    def kill_api(self) -> None:
        """Kill the program that serves the page; `tapeflow up` starts it again."""
        for child in psutil.Process(self.pid).children():
            if "serve" in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                return
        raise AssertionError("no API runs")


@contextmanager
def platform(home: Path, shared: Path | None) -> Iterator[Platform]:
    """Run everything over a home of its own: real ticks of AIG and IBM where they are, else a simulated market."""
    environment = _environment(home)
    with (home / "up.out").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.cli", "up"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url, token = _await(process, home)
        symbols = REAL_SYMBOLS if shared else tuple(_SIMULATED.names)
        with open_log(f"sqlite:///{home / 'log.db'}") as log:
            _list_instruments(log, symbols)
            _open_account(log)
        with _market(home, environment, shared):
            yield Platform(url, home, token, symbols, process.pid)
    finally:
        process.terminate()
        process.wait(120)


def append(log: Log, topic: Topic, rows: list[dict[str, Any]]) -> None:
    """Append rows of a topic, as a flow or another door would; fields that are not given are null."""
    columns = {
        field.name: [row.get(field.name, field.default) for row in rows] for field in topic.fields
    }
    batch = topic.batch(columns)
    split = Partitioner(log.topics()[topic.name].partitions).split(batch.column(topic.key), batch)
    log.append([rows_record(topic, partition, part) for partition, part in split])


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {
        **kept,
        "TAPEFLOW_HOME": str(home),
        "TAPEFLOW_API_PORT": str(free_ports(1)[0]),
        "TAPEFLOW_RUN_FLOWS": ",".join(FLOWS),
        "TAPEFLOW_LAKE_FLUSH_S": "600",
    }


def _await(process: "subprocess.Popen[bytes]", home: Path) -> tuple[str, str]:
    """Where it listens and the first token, once it has said both."""
    deadline_s = time.monotonic() + _START_S
    said = home / "up.out"
    while time.monotonic() < deadline_s:
        address, token = running_api(home), _TOKEN.search(said.read_text())
        if address is not None and token is not None:
            return address.url, token[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"tapeflow up did not come up:\n{said.read_text()[-4000:]}")


def _await_bars(home: Path, symbol: str) -> None:
    """A page asks for what was before it once: the past's bars are in the store by then."""
    asked = "SELECT uniqExact(ts_event) AS ends FROM bars WHERE symbol = {symbol:String}"
    deadline_s = time.monotonic() + _START_S
    with client.open(home) as desk:
        while desk.sql(asked, symbol=symbol)["ends"][0] < _PAST_S // 60 - 2:
            assert time.monotonic() < deadline_s, "the bars of the past were not landed"
            time.sleep(0.2)


def _list_instruments(log: Log, symbols: Sequence[str]) -> None:
    """Orders are of listed instruments; these files of ticks list none."""
    listed = {"currency": "USD", "tick_size": 0.01, "ts_event": 0, "ts_recv": time_ns()}
    append(log, INSTRUMENTS, [{"symbol": symbol, **listed} for symbol in symbols])


def _open_account(log: Log) -> None:
    now = time_ns()
    append(
        log,
        ACCOUNTS,
        [{"account": ACCOUNT, "ts_event": now, "ts_recv": now, "type": "margin", "user": "test"}],
    )
    append(
        log,
        CASH_MOVEMENTS,
        [
            {
                "account": ACCOUNT,
                "ts_event": now,
                "ts_recv": now,
                "movement_id": "first",
                "kind": "deposit",
                "amount": Decimal(1_000_000),
                "currency": "USD",
            }
        ],
    )


@contextmanager
def _market(home: Path, environment: dict[str, str], shared: Path | None) -> Iterator[None]:
    with _simulated(home) if shared is None else _real(environment, shared):
        yield


@contextmanager
def _real(environment: dict[str, str], shared: Path) -> Iterator[None]:
    """An hour of 7 October 2013 at once, then the ticks that follow at twice their pace."""
    taq = shared / "ticks" / "us_equity_taq"
    files = [str(path) for name in REAL_SYMBOLS for path in (taq / name.lower()).glob("20131007*")]
    feed = [sys.executable, "-m", "serving.cli", "feed", *sorted(files)]
    begin, turn = "2013-10-07T14:30:00Z", "2013-10-07T15:30:00Z"
    quiet = subprocess.DEVNULL
    first = [*feed, "--from", begin, "--to", turn]
    subprocess.run(first, env=environment, check=True, stdout=quiet)
    then = [*feed, "--again", "--from", turn, "--speed", "2"]
    going_on = subprocess.Popen(then, env=environment, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        going_on.terminate()
        going_on.wait(60)


@contextmanager
def _simulated(home: Path) -> Iterator[None]:
    """Half an hour of a simulated market at once, then the next day at its own pace."""
    stop = threading.Event()
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        simulate(log, _PAST, SimulateOptions(seconds=_PAST_S))
    _await_bars(home, _SIMULATED.names[0])

    def run() -> None:
        with open_log(f"sqlite:///{home / 'log.db'}") as log:
            simulate(log, _SIMULATED, SimulateOptions(paced=True, stop=stop.is_set))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
