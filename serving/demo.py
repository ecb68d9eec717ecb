"""`tapeflow demo`: the whole platform for a while, on simulated or given data, and proof of what it did."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import orjson
import psutil

from connectors.clickhouse import connect
from connectors.log import Log, open_log
from connectors.receipts import receipt
from schemas.registry import TOPICS
from serving.audit import audit, audit_value
from serving.demo_display import DemoDisplay, print_summary
from serving.demo_watch import Watch
from serving.receipt import receipt_value
from serving.settings import Settings, program_environment
from serving.stopping import SUPERVISED
from serving.supervisor import Supervisor, SupervisorError
from serving.up import supervisor_of

# Rows get to the lake so often in a demo: a person is waiting.
_LAKE_FLUSH_S = 2.0
_LOOK_S = 0.2
# Behind the feed's end, while nothing moves: a program that hangs must not hang the demo.
_STILL_S = 60.0
QUERIES = (
    (
        "The busiest symbols",
        (
            "SELECT symbol, count() AS trades, round(sum(price * size)) AS turnover FROM trades "
            "GROUP BY symbol ORDER BY trades DESC, symbol LIMIT 5"
        ),
    ),
    (
        "The last bars of the busiest symbol",
        (
            "SELECT ts_start, interval, open, high, low, close, volume, trade_count FROM bars "
            "WHERE symbol = (SELECT symbol FROM trades GROUP BY symbol ORDER BY count() DESC, symbol LIMIT 1) "
            "ORDER BY ts_event DESC, interval LIMIT 5"
        ),
    ),
    (
        "How many values of each indicator",
        (
            "SELECT name, interval, count() AS values, countIf(isNotNull(value)) AS warm FROM indicators "
            "GROUP BY name, interval ORDER BY name, interval LIMIT 5"
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """How long, and on what.

    Parameters
    ----------
    seconds : float
        Length of a live simulation.
    rows : int or None
        In place of it: so many simulated rows as fast as they go.
    rate : int
        Rows a second of event time.
    symbols, seed : int
        Of the simulated market.
    data : Path or None
        Files or folders to feed in place of a simulation.
    """

    seconds: float
    rows: int | None = None
    rate: int
    symbols: int
    seed: int
    data: Path | None = None

    @property
    def live(self) -> bool:
        """Whether rows happen while the demo runs."""
        return self.data is None and self.rows is None

    @property
    def feed_arguments(self) -> list[str]:
        """The verb that brings the data in."""
        if self.data is not None:
            return ["feed", str(self.data), "--json"]
        market = [
            "--rate",
            str(self.rate),
            "--symbols",
            str(self.symbols),
            "--seed",
            str(self.seed),
        ]
        if self.rows is not None:
            return ["simulate", "--rows", str(self.rows), *market, "--json"]
        return ["simulate", "--live", "--seconds", str(self.seconds), *market, "--json"]


@dataclass(kw_only=True)
class DemoResult:
    """What happened; `asdict` of it is the JSON object of ``demo --json``.

    Parameters
    ----------
    home : str
        Where everything lies.
    rows_per_second : float
        Raw rows over the time from the first append to the last landing, in store and lake.
    latency_ms : dict
        ``p50`` and ``p99`` of raw rows, until readable in ClickHouse, from what ``latency_from`` says.
    latency_from : str
        ``ts_event`` for live rows, ``append`` for history.
    topics : dict
        Topic to rows ``in_log``, ``in_clickhouse``, ``in_lake``.
    audit : dict
        ``ok`` and all terms.
    receipt : dict
        Topic to rows and digest.
    queries : list of dict
        Three example queries with ``columns`` and ``rows``.
    memory_mib_max : float
        Largest sum of proportional set sizes of all programs, in MiB.
    seconds : float
        From the first append to the last landing.
    """

    home: str
    rows_per_second: float
    latency_ms: dict[str, float | None]
    latency_from: str
    topics: dict[str, dict[str, int]]
    audit: dict[str, Any]
    receipt: dict[str, Any]
    queries: list[dict[str, Any]] = field(default_factory=list)
    memory_mib_max: float
    seconds: float


def run_demo(settings: Settings, options: DemoOptions, *, as_json: bool) -> int:
    """Run it, print what happened; 0 where the audit holds, 1 otherwise.

    Raises
    ------
    SupervisorError
        Where a program does not come up, the feed fails, or nothing moves any more.
    """
    settings = demo_settings(settings)
    supervisor = supervisor_of(settings)
    display = DemoDisplay(settings, silent=as_json)
    with display, open_log(settings.log) as log:
        display.say("starting store, flows, lander and clock")
        supervisor.start()
        try:
            result = _run(settings, options, supervisor, log, display)
        finally:
            display.say("stopping")
            supervisor.stop()
    if as_json:
        sys.stdout.write(orjson.dumps(asdict(result), default=str).decode() + "\n")
    else:
        print_summary(result)
    return 0 if result.audit["ok"] else 1


def demo_settings(settings: Settings) -> Settings:
    """The settings with a folder of the demo's own: no data that is there is touched or mixed.

    That is the home itself where one was chosen and it is new or empty, else ``demo-1``, ``demo-2`` … in it.
    """
    home = settings.home
    if home == Path(".tapeflow").absolute() or (home.is_dir() and any(home.iterdir())):
        number = 1
        while (home / f"demo-{number}").exists():
            number += 1
        home = home / f"demo-{number}"
    return settings.moved(home).model_copy(update={"lake_flush_s": _LAKE_FLUSH_S})


def _run(
    settings: Settings,
    options: DemoOptions,
    supervisor: Supervisor,
    log: Log,
    display: DemoDisplay,
) -> DemoResult:
    watch = Watch(log, live=options.live)
    memory = _Memory()

    def look() -> None:
        supervisor.check()
        watch.read()
        memory.look()
        display.show(watch, memory.now_mib)

    display.say("feeding" if options.data else "simulating a market")
    with _feeding(settings, options.feed_arguments) as feeding:
        while feeding.poll() is None:
            look()
            Event().wait(_LOOK_S)
    display.say("waiting until everything has landed")
    _drain(watch, look)
    display.say("counting again, for audit and receipt")
    return _result(settings, options, watch, log, memory.largest_mib)


def _drain(watch: Watch, look: Callable[[], None]) -> None:
    """Look until flows, store and lake have everything that is in the log."""
    seen: tuple[int, int] | None = None
    moved_s = monotonic()
    while not watch.caught_up():
        look()
        now = (sum(watch.landed.values()), sum(watch.in_lake.values()))
        if now != seen:
            seen, moved_s = now, monotonic()
        elif monotonic() - moved_s > _STILL_S:
            raise SupervisorError(
                f"demo: nothing has landed for {_STILL_S:g} s and not everything is there; "
                "see what the programs printed, in the folder logs"
            )
        Event().wait(_LOOK_S)
    look()


def _result(
    settings: Settings, options: DemoOptions, watch: Watch, log: Log, memory_mib: float
) -> DemoResult:
    receipts = receipt(log, TOPICS.values())
    return DemoResult(
        home=str(settings.home),
        rows_per_second=round(watch.rows_per_second, 1),
        latency_ms={
            "p50": watch.latencies.percentile_ms(50),
            "p99": watch.latencies.percentile_ms(99),
        },
        latency_from="ts_event" if options.live else "append",
        topics={
            one.topic: {
                "in_log": one.rows,
                "in_clickhouse": watch.landed[one.topic],
                "in_lake": watch.in_lake[one.topic],
            }
            for one in receipts
        },
        audit=audit_value(audit(log, settings.store, settings.lake_path)),
        receipt=receipt_value(receipts),
        queries=list(_answers(settings)),
        memory_mib_max=round(memory_mib, 1),
        seconds=round(watch.seconds, 3),
    )


def _answers(settings: Settings) -> Iterator[dict[str, Any]]:
    with connect(settings.store) as client:
        for title, sql in QUERIES:
            answer = client.query(sql)
            yield {
                "title": title,
                "sql": sql,
                "columns": list(answer.column_names),
                "rows": [list(row) for row in answer.result_rows],
            }


@contextmanager
def _feeding(settings: Settings, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The verb that brings the data in, in a process of its own; its failure is an error here."""
    settings.logs_path.mkdir(parents=True, exist_ok=True)
    path = settings.logs_path / "feed.log"
    with path.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own verb, no shell
            [sys.executable, "-m", "serving.cli", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**program_environment(settings), SUPERVISED: "1"},
        )
    try:
        yield process
    finally:
        process.terminate()
        code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if code != 0:
        raise SupervisorError(f"{arguments[0]} ended with code {code}:\n{path.read_text().strip()}")


class _Memory:
    """Proportional set size of this process and all it started, in MiB."""

    _EVERY_S = 1.0

    def __init__(self) -> None:
        self._process = psutil.Process(os.getpid())
        self._looked_s = -self._EVERY_S
        self.now_mib = 0.0
        self.largest_mib = 0.0

    def look(self) -> None:
        """Measure, at most once a second: reading it costs milliseconds."""
        if monotonic() - self._looked_s < self._EVERY_S:
            return
        self._looked_s = monotonic()
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self.now_mib = total / 2**20
        self.largest_mib = max(self.largest_mib, self.now_mib)
