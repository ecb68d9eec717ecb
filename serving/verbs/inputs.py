"""Verbs that bring data in: feed (outside files), simulate (the seeded market simulator)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.settings_sources import load_settings
from serving.verbs.live import LiveRequest, feed_live

if TYPE_CHECKING:
    from connectors.feeds.mapping import ColumnMapping
    from connectors.feeds.options import FeedSummary


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(feed)
    app.command()(simulate)


def feed(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files or folders.")
    ] = None,
    *,
    format_: Annotated[
        str | None, typer.Option("--format", help="Format of the files; found out by default.")
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="For CSV and Parquet: a TOML file, or topic=trades,symbol=COLUMN,ts_event=COLUMN:ms,…"
        ),
    ] = None,
    conditions: Annotated[
        str, typer.Option(help="Table of sale conditions of TAQ trades: vendor or sip.")
    ] = "vendor",
    speed: Annotated[
        str, typer.Option(metavar="max|N", help="Multiple of real time at which to replay.")
    ] = "max",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Only rows from this time (UTC) on."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Only rows before this time (UTC).")
    ] = None,
    late_ok: Annotated[
        bool, typer.Option("--late-ok", help="Feed days older than what their symbols have.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Feed files that were fed before.")
    ] = False,
    ts_recv: Annotated[
        str, typer.Option(metavar="wall|event", help="Time at which rows count as received.")
    ] = "wall",
    live: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="In place of files: binance, binance-usdm, alpaca, alpaca-sip, alpaca-crypto, or a mapping "
            "(.toml); until Ctrl-C. Credentials are settings.",
        ),
    ] = None,
    recorded_from: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help="The files are what --capture recorded of this source."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option(help="Name of the live source in the log, where several are fed at once.")
    ] = "",
    symbols: Annotated[str, typer.Option(help="Of a live source: A,B,C.")] = "",
    channels: Annotated[
        str, typer.Option(help="Of a live source: which streams, such as trade,depth.")
    ] = "",
    url: Annotated[str, typer.Option(help="Another address of the live source (ws://…).")] = "",
    rest_url: Annotated[
        str, typer.Option(help="Another address of its book snapshots (http://…).")
    ] = "",
    capture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record the raw wire (packed if .gz).")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="End a live feed after so long.")
    ] = None,
    calendar: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Whose sessions end with watermark rows (of exchange_calendars, or 24/7); else the setting's.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Feed outside files, or a live source, into the raw topics."""
    from connectors.feeds.options import FeedOptions
    from connectors.feeds.program import feed as feed_paths
    from connectors.log import open_log
    from connectors.topics import create_topics
    from serving.feed_display import FeedDisplay

    settings = load_settings()
    if calendar is not None:
        settings = settings.model_copy(update={"calendar": calendar})
    _serve_metrics(settings.metrics)
    if live is not None or recorded_from is not None:
        asked = LiveRequest(
            live=live,
            recorded_from=recorded_from,
            source=source,
            symbols=symbols,
            channels=channels,
            url=url,
            rest_url=rest_url,
            capture=capture,
            seconds=seconds,
            again=again,
            json=json,
        )
        feed_live(settings, paths or [], asked)
        return
    if not paths:
        raise typer.BadParameter("say which files or folders, or --live SOURCE")
    options = FeedOptions(
        format=format_,
        mapping=_mapping(mapping),
        conditions=conditions,
        speed=_speed(speed),
        start_ns=_time_ns("--from", start),
        end_ns=_time_ns("--to", end),
        late_ok=late_ok,
        again=again,
        ts_recv=ts_recv,
        calendar=settings.calendar,
    )
    with open_log(settings.log) as log, FeedDisplay() as display:
        create_topics(log, settings.partitions)
        summary = feed_paths(log, paths, options, display.show)
    _tell(summary, json=json)


def _serve_metrics(address: str) -> None:
    """Serve the feed's metrics, unless another feed does: rows matter more than their count."""
    from connectors.metrics import MetricsError, serve

    try:
        serve(address, "feed")
    except MetricsError as error:
        typer.echo(f"tapeflow: {error}; this feed goes on without metrics", err=True)


def _mapping(text: str | None) -> "ColumnMapping | None":
    from connectors.feeds.mapping import parse_mapping, read_mapping

    if text is None:
        return None
    path = Path(text)
    return read_mapping(path) if path.suffix == ".toml" else parse_mapping(text)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if speed <= 0:
        raise typer.BadParameter(f"--speed {text}: it must be max, or a number above 0")
    return speed


def _time_ns(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    import pandas as pd

    try:
        time = pd.Timestamp(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{option} {text}: it must be a time such as 2025-01-02T14:30:00 ({error})"
        ) from error
    utc = time.tz_localize("UTC") if time.tzinfo is None else time.tz_convert("UTC")
    return int(utc.as_unit("ns").value)


def _tell(summary: "FeedSummary", *, json: bool) -> None:
    from dataclasses import asdict

    import orjson
    from rich.console import Console
    from rich.table import Table

    if json:
        typer.echo(orjson.dumps(asdict(summary)).decode())
        return
    table = Table("file", "topic", "rows", "rejected", "status", "note")
    for file in summary.files:
        skipped = (f"{count:,} skipped: {why}" for why, count in sorted(file.skipped.items()))
        table.add_row(
            f"{file.name}#{file.part}" if file.part else file.name,
            file.topic,
            f"{file.rows:,}",
            f"{file.rejected:,}",
            file.status,
            "; ".join(filter(None, (file.note, *skipped))),
        )
    console = Console()
    console.print(table)
    for path, why in summary.skipped:
        console.print(f"not fed: {path}: {why}", highlight=False)


def simulate(
    *,
    seconds: Annotated[float | None, typer.Option(min=0.001, help="So much event time.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="So many rows.")] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Event time is now, at its own pace; else history, at once."),
    ] = False,
    rate: Annotated[float, typer.Option(help="Rows a second of event time.")] = 20_000.0,
    symbols: Annotated[int, typer.Option(min=1, max=10_000, help="Count of symbols.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same market.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Feed a simulated market into the raw topics."""
    from collections import deque
    from itertools import islice

    import orjson

    from connectors.feeds.simulate import SimulateOptions
    from connectors.feeds.simulate import simulate as simulate_market
    from connectors.feeds.simulator import Simulator, SimulatorOptions
    from connectors.log import open_log
    from connectors.topics import create_topics
    from serving.stopping import stop_event

    if seconds is None and rows is None and not live:
        raise typer.BadParameter("say --seconds or --rows; only --live goes on until Ctrl-C")
    settings = load_settings()
    market = SimulatorOptions(seed=seed, symbols=symbols, rate=rate)
    options = SimulateOptions(
        seconds=seconds,
        rows=rows,
        live=live,
        calendar=settings.calendar,
        stop=stop_event().is_set,
    )
    if live:
        # Kernels are compiled before the market's time begins to count: the first slice fills the books,
        # the second is the market's own.
        deque(islice(Simulator(SimulatorOptions(symbols=1)), 2), maxlen=0)
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
        appended = simulate_market(log, market, options)
    if json:
        typer.echo(orjson.dumps({"rows": appended}).decode())
    else:
        typer.echo(", ".join(f"{count:,} {topic}" for topic, count in appended.items()))
