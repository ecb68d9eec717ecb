"""The verb that looks at topics, and its repair and trim."""

import sys
import time
from typing import Annotated, Any

import typer

from serving.settings_sources import load_settings

_topics = typer.Typer(help="What the log holds, and how far everybody has read it.")


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    _topics.callback(invoke_without_command=True)(topics)
    _topics.command()(repair)
    _topics.command()(trim)
    app.add_typer(_topics, name="topics")


def topics(
    context: typer.Context,
    *,
    control: Annotated[bool, typer.Option("--control", help="Control topics too.")] = False,
    empty: Annotated[bool, typer.Option("--empty", help="Topics without a record too.")] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="Count rows and bytes exactly; reads all of the log.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show topics with sizes, watermarks and retention, and how far flows and the lander have read them."""
    if context.invoked_subcommand is not None:
        return
    import orjson

    from connectors.log import open_log
    from serving.topics import overview
    from serving.trimming import retentions

    settings = load_settings()
    with open_log(settings.log) as log:
        found = overview(
            log,
            now_ns=time.time_ns(),
            retention=retentions(settings.retention),
            control=control,
            count_rows=rows,
        )
    if json:
        typer.echo(orjson.dumps(found).decode())
        return
    _show_topics(found, empty=empty)
    _show_readers(found["readers"])


def repair(
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without this it is only said what would be done.")
    ] = False,
) -> None:
    """Mend a log that is torn, or has lost its newest records, and what was made of these."""
    from serving.repair import repair as repair_log

    repair_log(load_settings(), yes=yes, tell=typer.echo)


def trim(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be cut, and what holds it back.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FLOW",
            help="A flow that will never run again and so holds nothing back (or receipts, where "
            "nothing more is to be sealed); may be repeated.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Cut the log by its retention, below what landed and what flows, runs and receipts still need."""
    from connectors.log import open_log
    from serving.trimming import retentions, run_trim

    settings = load_settings()
    with open_log(settings.log) as log:
        code = run_trim(
            log,
            retentions(settings.retention),
            dry_run=dry_run,
            without=without or (),
            as_json=json,
            out=sys.stdout,
        )
    raise typer.Exit(code)


def _show_topics(found: dict[str, list[dict[str, Any]]], *, empty: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from serving.sizes import bytes_text
    from serving.times import wall_text

    names = ("topic", "offsets, by partition", "rows", "bytes", "last append (UTC)")
    table = Table(*names, "watermarks (UTC)", "to land: ClickHouse, lake", "retention")
    for name in dict.fromkeys(one["topic"] for one in found["partitions"]):
        mine = [one for one in found["partitions"] if one["topic"] == name]
        if not empty and not any(one["end"] for one in mine):
            continue
        nearly = "" if all(one["exact"] for one in mine) else "≈"
        appends = [one["last_append_ns"] for one in mine if one["last_append_ns"] is not None]
        table.add_row(
            name,
            ", ".join(map(_offsets, mine)),
            f"{nearly}{sum(one['rows'] for one in mine):,}",
            f"{nearly}{bytes_text(sum(one['size_bytes'] for one in mine))}",
            wall_text(max(appends, default=None)),
            _watermarks(mine),
            ", ".join(_lag(found["sinks"], name, sink) for sink in ("clickhouse", "lake")),
            _retention([one for one in found["retention"] if one["topic"] == name]),
        )
    Console().print(table)


def _offsets(partition: dict[str, Any]) -> str:
    kept = f"{partition['start']}-{partition['end']}"
    held = partition["unended"]
    return f"{kept} (+{held:,} in a transaction that has not ended)" if held else kept


def _watermarks(partitions: list[dict[str, Any]]) -> str:
    from serving.times import wall_text

    least = [one["watermark_min_ns"] for one in partitions if one["watermark_min_ns"] is not None]
    most = [one["watermark_max_ns"] for one in partitions if one["watermark_max_ns"] is not None]
    if not least:
        return ""
    first, last = wall_text(min(least)), wall_text(max(most))
    return first if first == last else f"{first} to {last}"


def _lag(sinks: list[dict[str, Any]], topic: str, sink: str) -> str:
    lags = [one["lag"] for one in sinks if (one["topic"], one["sink"]) == (topic, sink)]
    return f"{sum(lags):,}" if lags else "-"


def _retention(cuts: list[dict[str, Any]]) -> str:
    """What may be cut, and who holds back the rest; each of them once."""
    if not cuts:
        return ""
    ready = sum(one["before"] - one["start"] for one in cuts)
    held = dict.fromkeys(one["held_by"] for one in cuts if one["held_by"])
    due = [f"{ready:,} to cut"] if ready else []
    return "; ".join([cuts[0]["policy"], *due, *(f"held by {who}" for who in held)])


def _show_readers(readers: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not readers:
        return
    table = Table("flow", "input", "lag, by shard", "read", "used", "late", "held", "")
    for flow, topic in dict.fromkeys((one["flow"], one["topic"]) for one in readers):
        mine = [one for one in readers if (one["flow"], one["topic"]) == (flow, topic)]
        # A broadcast input has a row a partition, all with the shard's counts.
        shards = {one["shard"]: one for one in mine}.values()
        counts = [sum(one[name] for one in shards) for name in ("read", "used", "late", "held")]
        lags = ", ".join(str(one["lag"]) for one in mine)
        paused = "paused: too many held" if any(one["paused"] for one in mine) else ""
        table.add_row(flow, topic, lags, *(f"{count:,}" for count in counts), paused)
    Console().print(table)
