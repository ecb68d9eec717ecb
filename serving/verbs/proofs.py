"""The verb that recounts: audit. Receipts and replays have files of their own."""

import sys
from typing import Annotated

import typer

from serving.settings_sources import load_settings


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(audit)


def audit(
    *,
    values: Annotated[
        bool,
        typer.Option(
            "--values",
            help="Also compare what has landed with the log by value, not only by count: all of it is read.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Recount from the log what became of every row; exit code 1 where a count does not hold."""
    from connectors.log import open_log
    from serving.audit import run_audit

    settings = load_settings()
    with open_log(settings.log) as log:
        code = run_audit(
            log, settings.store, settings.lake_path, values=values, as_json=json, out=sys.stdout
        )
    raise typer.Exit(code)
