"""Verbs that look: sql, query, chart, topics (and its repair), tail."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from serving.settings import load_settings

_topics = typer.Typer(help="What the log holds, and how far flows have read it.")


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(sql)
    app.command()(query)
    app.command()(chart)
    _topics.callback(invoke_without_command=True)(topics)
    _topics.command()(repair)
    app.add_typer(_topics, name="topics")
    app.command()(tail)


def sql(
    query: Annotated[str, typer.Argument(help="ClickHouse SQL; - reads it from standard input.")],
    *,
    format_: Annotated[
        str, typer.Option("--format", help="table, csv, json (one object a line) or parquet.")
    ] = "table",
) -> None:
    """Query ClickHouse."""
    from serving.sql import SqlFormat, run_sql

    if format_ not in tuple(SqlFormat):
        raise typer.BadParameter(f"--format {format_}: it must be one of {', '.join(SqlFormat)}")
    text = sys.stdin.read() if query == "-" else query
    raise typer.Exit(run_sql(load_settings().store, text, format_, sys.stdout))


def query(
    name: Annotated[
        str | None, typer.Argument(help="Name of the query; none lists them all.")
    ] = None,
    *,
    given: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="table, csv, json (one object a line) or parquet.")
    ] = "table",
) -> None:
    """Run a named query of sql/queries, or list them with their parameters."""
    from serving.queries import named_query, queries
    from serving.sql import SqlFormat, run_sql

    if format_ not in tuple(SqlFormat):
        raise typer.BadParameter(f"--format {format_}: it must be one of {', '.join(SqlFormat)}")
    if name is None:
        for one in queries().values():
            typer.echo(f"{one.name}: {one.purpose}")
            for parameter in one.parameters:
                usual = "" if parameter.default is None else f" = {parameter.default}"
                typer.echo(f"    {parameter.name}{usual}: {parameter.meaning}")
        return
    values: dict[str, str] = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--param {text}: it must be like symbol=IBM")
        values[key] = value
    chosen = named_query(name)
    code = run_sql(load_settings().store, chosen.text, format_, sys.stdout, chosen.values(values))
    raise typer.Exit(code)


def chart(
    symbol: Annotated[str, typer.Argument(help="Instrument.")],
    *,
    interval: Annotated[str, typer.Option(help="Interval of the bars.")] = "1m",
    indicators: Annotated[
        list[str] | None,
        typer.Option(
            "--indicator",
            "-i",
            help="An indicator of the topic; may be repeated. Those in price units are drawn over the bars.",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="First bar's end, UTC, such as 2013-10-07T13:30.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last bar's end, UTC, exclusive.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write: PATH.html and PATH.png; chart-SYMBOL-INTERVAL here."),
    ] = None,
) -> None:
    """Write a candlestick chart with volume and indicators, as HTML (opened by a browser) and PNG."""
    try:
        from serving.chart import ChartOptions, write_chart
    except ModuleNotFoundError as error:
        if error.name not in ("altair", "vl_convert"):
            raise
        raise typer.BadParameter("chart: install 'tapeflow[charts]'; it draws") from error

    options = ChartOptions(
        symbol=symbol,
        interval=interval,
        indicators=tuple(indicators or ()),
        start=start,
        end=end,
    )
    for path in write_chart(options, out or Path(f"chart-{symbol}-{interval}")):
        typer.echo(str(path))


def topics(
    context: typer.Context,
    *,
    control: Annotated[bool, typer.Option("--control", help="Control topics too.")] = False,
    rows: Annotated[bool, typer.Option("--rows", help="Count rows; reads all of the log.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show topics with their offsets, and how far flows have read them."""
    if context.invoked_subcommand is not None:
        return
    import orjson

    from connectors.log import open_log
    from serving.topics import overview

    settings = load_settings()
    with open_log(settings.log) as log:
        found = overview(log, control=control, count_rows=rows)
    if json:
        typer.echo(orjson.dumps(found).decode())
    else:
        _show_topics(found["partitions"])
        _show_readers(found["readers"])


def repair() -> None:
    """Mend a torn log: cut what follows the last good record of each partition."""
    from connectors.sqlite_repair import repair as repair_log

    removed = repair_log(load_settings().log)
    for one in removed:
        typer.echo(str(one))
    typer.echo(f"{len(removed)} cuts" if removed else "nothing to mend")


def tail(
    topic: Annotated[str, typer.Argument(help="Topic, inbox or control topic.")],
    *,
    start: Annotated[
        str, typer.Option("--from", metavar="beginning|end", help="Where to begin.")
    ] = "end",
    limit: Annotated[int | None, typer.Option(min=0, help="End after so many rows.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a row.")] = False,
) -> None:
    """Print a topic's rows: those there are (from the beginning), or new ones until Ctrl-C."""
    import orjson

    from connectors.log import open_log
    from serving.stopping import stop_event
    from serving.tail import tail as rows_of

    if start not in ("beginning", "end"):
        raise typer.BadParameter(f"--from {start}: it must be beginning or end")
    stop = stop_event()
    with open_log(load_settings().log) as log:
        for row in rows_of(log, topic, stop, beginning=start == "beginning", limit=limit):
            if json:
                sys.stdout.write(orjson.dumps(row).decode() + "\n")
            else:
                told = (f"{name}={value}" for name, value in row.items() if value is not None)
                sys.stdout.write(" ".join(told) + "\n")
            sys.stdout.flush()


def _show_topics(partitions: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from serving.times import wall_text

    table = Table("topic", "offsets, by partition", "rows", "last append (UTC)")
    for name in dict.fromkeys(one["topic"] for one in partitions):
        mine = [one for one in partitions if one["topic"] == name]
        rows = [one["rows"] for one in mine if one["rows"] is not None]
        appends = [one["last_append_ns"] for one in mine if one["last_append_ns"] is not None]
        table.add_row(
            name,
            ", ".join(f"{one['start']}-{one['end']}" for one in mine),
            f"{sum(rows):,}" if rows else "",
            wall_text(max(appends, default=None)),
        )
    Console().print(table)


def _show_readers(readers: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not readers:
        return
    table = Table("flow", "input", "lag, by shard", "read", "used", "late", "held")
    for flow, topic in dict.fromkeys((one["flow"], one["topic"]) for one in readers):
        mine = [one for one in readers if (one["flow"], one["topic"]) == (flow, topic)]
        # A broadcast input has a row a partition, all with the shard's counts.
        shards = {one["shard"]: one for one in mine}.values()
        counts = [sum(one[name] for one in shards) for name in ("read", "used", "late", "held")]
        lags = ", ".join(str(one["lag"]) for one in mine)
        table.add_row(flow, topic, lags, *(f"{count:,}" for count in counts))
    Console().print(table)
