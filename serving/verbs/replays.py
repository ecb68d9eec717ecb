"""Verbs that compute again: replay, and the runs that it keeps."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from serving.settings_sources import load_settings

_runs = typer.Typer(help="Runs that replays have kept.")


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command(cls=_ReplayCommand)(replay)
    _runs.callback(invoke_without_command=True)(runs)
    _runs.command()(drop)
    app.add_typer(_runs, name="runs")


class _ReplayCommand(TyperCommand):
    """Lets ``--compare`` stand alone, for ``--compare live``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put in what is left out; a flow behind it is a flow, as no run may have its name."""
        from flows.catalog import catalog

        whole: list[str] = []
        for at, word in enumerate(args):
            whole.append(word)
            following = args[at + 1] if at + 1 < len(args) else "-"
            if word == "--compare" and (following.startswith("-") or following in catalog()):
                whole.append("live")
        return super().parse_args(ctx, whole)


def replay(
    flows: Annotated[
        list[str] | None,
        typer.Argument(metavar="FLOW", help="Flows; all that have run by default."),
    ] = None,
    *,
    flow_list: Annotated[
        str | None, typer.Option("--flows", metavar="A,B", help="The same, as one option.")
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME|OFFSETS", help="Compare from there; TOPIC[/PART]=N,…"),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME|OFFSETS", help="Compare up to there.")
    ] = None,
    cold: Annotated[
        bool, typer.Option("--cold", help="Compute from the beginning, also with offsets.")
    ] = False,
    params: Annotated[
        Path | None,
        typer.Option(help="TOML with [flows.NAME] tables: what would these have given?"),
    ] = None,
    into: Annotated[
        str | None, typer.Option(metavar="RUN", help="Keep the outputs as a run beside live.")
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="[live|RUN]", help="Compare with the log (live) or with a run."),
    ] = None,
    from_lake: Annotated[
        bool, typer.Option("--from-lake", help="Replay from the lake alone.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON.")] = False,
) -> None:
    """Compute derived topics again; compare them, or keep them as a run. Exit code 1 where a row differs."""
    from connectors.log import open_log
    from serving.replay import Request, run_replay
    from serving.replay_compare import Range
    from serving.replay_params import params_of_file
    from serving.run_making import Places
    from serving.settings_sources import flow_params

    if into is None and compare is None:
        raise typer.BadParameter(
            "what is to become of what is computed? Say --compare live, --compare RUN, --into RUN, or both"
        )
    settings = load_settings()
    names = [*(flows or []), *(flow_list.split(",") if flow_list else [])]
    request = Request(
        flows=names,
        within=Range(begin=begin, end=end, cold=cold),
        params=None if params is None else params_of_file(settings, params, names),
        into=into,
        compare=compare,
        usual=flow_params(settings),
    )
    with open_log(settings.log) as log:
        places = Places(
            log=log.url,
            source=f"lake:///{settings.lake_path}" if from_lake else log.url,
            store=settings.store,
            lake=settings.lake_path,
        )
        code = run_replay(
            log,
            names,
            as_json=json,
            out=sys.stdout,
            request=request,
            places=places,
            workers=workers,
        )
    raise typer.Exit(code)


def runs(
    context: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON list.")] = False,
) -> None:
    """List the runs that `tapeflow replay --into` has kept."""
    if context.invoked_subcommand is not None:
        return
    import orjson
    from rich.console import Console

    from connectors.log import open_log
    from serving.run_manifest import manifests
    from serving.runs import print_runs, run_value

    with open_log(load_settings().log) as log:
        found = manifests(log)
    if json:
        values = [run_value(run) for run in found]
        sys.stdout.write(orjson.dumps(values, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print_runs(found, Console(file=sys.stdout))


def drop(run: Annotated[str, typer.Argument(metavar="RUN", help="Its name.")]) -> None:
    """Remove a run: its topics, its tables and its files in the lake."""
    from connectors.log import open_log
    from serving.runs import drop_run

    settings = load_settings()
    with open_log(settings.log) as log:
        removed = drop_run(log, run, settings.store, settings.lake_path)
    typer.echo(
        f"run {run} dropped: {len(removed)} topics, database run_{run}, its part of the lake"
    )
