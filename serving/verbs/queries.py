"""Verbs that look: sql, query, chart, tail."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from serving.settings_sources import load_settings


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(sql)
    app.command()(query)
    app.command()(chart)
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
                bounds = "" if parameter.bounds is None else f" ({parameter.bounds})"
                typer.echo(f"    {parameter.name}{usual}{bounds}: {parameter.meaning}")
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
        typer.Option(
            help="Where to write: PATH.html and PATH.png; chart-SYMBOL-INTERVAL here, a / in it as _."
        ),
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
    # Pairs of coins and currencies have a slash.
    usual = Path(f"chart-{symbol}-{interval}".replace("/", "_"))
    for path in write_chart(options, out or usual):
        typer.echo(str(path))


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
