"""`tapeflow demo`: the whole platform for a while, on simulated or given data, and proof of what it did."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import orjson

from connectors.clickhouse import connect
from connectors.log import Log, open_log
from schemas.registry import TOPICS
from serving.demo_display import DemoDisplay, print_summary
from serving.demo_run import LOOK_S, Memory, drain, feeding
from serving.demo_watch import Watch
from serving.settings import CONFIG_NAME, Settings
from serving.supervisor import Supervisor
from serving.up import supervisor_of

# Rows get to the lake so often in a demo: a person is waiting.
_LAKE_FLUSH_S = 5.0
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
        "The latest indicators of the busiest symbol",
        (
            "SELECT interval, name, argMax(value, ts_event) AS latest, count() AS bars FROM indicators "
            "WHERE isNotNull(value) AND symbol = "
            "(SELECT symbol FROM trades GROUP BY symbol ORDER BY count() DESC, symbol LIMIT 1) "
            "GROUP BY interval, name ORDER BY bars DESC, interval, name LIMIT 8"
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
    mapping : str or None
        For CSV and Parquet data, as `tapeflow feed` takes it.
    """

    seconds: float
    rows: int | None = None
    rate: int
    symbols: int
    seed: int
    data: Path | None = None
    mapping: str | None = None

    @property
    def live(self) -> bool:
        """Whether rows happen while the demo runs."""
        return self.data is None and self.rows is None

    @property
    def feed_arguments(self) -> list[str]:
        """The verb that brings the data in."""
        if self.data is not None:
            mapping = [] if self.mapping is None else ["--mapping", self.mapping]
            return ["feed", str(self.data), *mapping, "--json"]
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
    settings = demo_settings(settings).model_copy(update={"lake_flush_s": _LAKE_FLUSH_S})
    if options.live and "indicators" not in settings.flows:
        settings = _with_quick_indicators(settings)
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
    return settings.moved(home)


def _with_quick_indicators(settings: Settings) -> Settings:
    """Indicators on bars of a second too, kept in the home's own file for those who go on with it."""
    indicators = {"intervals": ["1s", "1m", "5m", "1h", "1d"]}
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / CONFIG_NAME).write_text(
        f"[flows.indicators]\nintervals = {orjson.dumps(indicators['intervals']).decode()}\n"
    )
    return settings.model_copy(update={"flows": {**settings.flows, "indicators": indicators}})


def _run(
    settings: Settings,
    options: DemoOptions,
    supervisor: Supervisor,
    log: Log,
    display: DemoDisplay,
) -> DemoResult:
    watch = Watch(log, live=options.live)
    memory = Memory()

    def look() -> None:
        supervisor.check()
        watch.read()
        memory.look()
        display.show(watch, memory.now_mib)

    display.say("feeding" if options.data else "simulating a market")
    with feeding(settings, options.feed_arguments) as feed:
        while feed.poll() is None:
            look()
            Event().wait(LOOK_S)
    display.say("waiting until everything has landed")
    drain(supervisor, watch, look)
    display.say("counting again, for audit and receipt")
    return _result(settings, options, watch, log, memory.largest_mib)


def _result(
    settings: Settings, options: DemoOptions, watch: Watch, log: Log, memory_mib: float
) -> DemoResult:
    # These load all that computes, which does not belong to the memory that was measured before.
    from connectors.receipts import receipt  # noqa: PLC0415
    from serving.audit import audit, audit_value  # noqa: PLC0415
    from serving.receipt import receipt_value  # noqa: PLC0415

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
