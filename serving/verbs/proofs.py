"""Verbs that prove: audit, replay. Receipts have a file of their own."""

import sys
from typing import Annotated

import typer

from serving.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(audit)
    app.command()(replay)


def audit(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Recount from the log what became of every row; exit code 1 where a count does not hold."""
    from connectors.log import open_log
    from serving.audit import run_audit

    settings = load_settings()
    with open_log(settings.log) as log:
        code = run_audit(log, settings.store, settings.lake_path, as_json=json, out=sys.stdout)
    raise typer.Exit(code)


def replay(
    flows: Annotated[
        list[str] | None, typer.Argument(metavar="FLOW", help="Flows; all by default.")
    ] = None,
    *,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with what the log has.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """Compute derived topics again from the log; exit code 1 where a row differs."""
    from connectors.log import open_log
    from serving.replay import run_replay

    if not compare:
        raise typer.BadParameter("replay: --compare is needed; what it computes goes nowhere else")
    with open_log(load_settings().log) as log:
        code = run_replay(log, flows or [], as_json=json, out=sys.stdout)
    raise typer.Exit(code)
