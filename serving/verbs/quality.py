"""The verb quality: what landed is checked by day."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from serving.settings_sources import load_settings


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command()(quality)


def quality(
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", help="Topics; all that landed by default."),
    ] = None,
    *,
    on: Annotated[
        str, typer.Option(metavar="clickhouse|lake|both", help="Where the rows are read.")
    ] = "clickhouse",
    day: Annotated[
        str | None, typer.Option(metavar="DATE", help="One UTC day; all that there are by default.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First UTC day.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last UTC day, inclusive.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report there.")] = None,
    record: Annotated[
        bool, typer.Option(help="Append the results to the topic quality_results.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check what landed, day by day; exit code 1 where something is not as expected, 2 where nothing was.

    A day that is not over seems to have a gap up to the close, and little volume: say --to the day before.
    """
    if day is not None and (start is not None or end is not None):
        raise typer.BadParameter("say --day, or --from and --to")
    if (start is None) != (end is None):
        raise typer.BadParameter("--from and --to go together")
    if on not in ("clickhouse", "lake", "both"):
        raise typer.BadParameter(f"--on {on}: it must be clickhouse, lake or both")
    first, last = _day(day or start), _day(day or end)
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"--from {start} is after --to {end}")
    try:
        from serving.quality import QualityRequest, run_quality
    except ModuleNotFoundError as error:
        if error.name not in ("great_expectations", "jinja2"):
            raise
        raise typer.BadParameter("quality: install 'tapeflow[quality]'; it judges") from error

    asked = QualityRequest(
        topics=tuple(topics or ()),
        targets=("clickhouse", "lake") if on == "both" else (on,),
        first_day=first,
        last_day=last,
        page=html,
        record=record,
    )
    raise typer.Exit(run_quality(load_settings(), asked, as_json=json, out=sys.stdout))


def _day(text: str | None) -> int | None:
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError as error:
        raise typer.BadParameter(f"{text}: it must be a date such as 2013-10-07") from error
