"""Verbs that bring up everything: up, demo."""

from pathlib import Path
from typing import Annotated

import typer

from serving.settings_sources import load_settings


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(up)
    app.command()(demo)


def up() -> None:
    """Run store, flows, lander and clock until Ctrl-C."""
    from serving.logs import configure_logs
    from serving.stopping import stop_event
    from serving.up import run_up

    settings = load_settings()
    configure_logs()
    run_up(settings, stop_event())


def demo(
    *,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="So long, in real time; 20 by default.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="So many rows, as fast as they go.")
    ] = None,
    rate: Annotated[
        int, typer.Option(min=1, help="Simulated rows a second, with --seconds.")
    ] = 20_000,
    symbols: Annotated[int, typer.Option(min=1, max=10_000, help="Simulated symbols.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same simulated market.")] = 1,
    data: Annotated[
        Path | None, typer.Option(help="Feed these files or folders in place of a simulation.")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="For CSV and Parquet data, as feed takes it.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Nothing on standard output but one JSON object.")
    ] = False,
) -> None:
    """Run everything for a while on simulated or given data, and show what came out."""
    from serving.demo import DemoOptions, run_demo
    from serving.logs import configure_logs

    configure_logs()
    if seconds is not None and rows is not None:
        raise typer.BadParameter("--seconds paces the data, --rows does not: say one of them")
    options = DemoOptions(
        seconds=seconds or 20.0,
        rows=rows,
        rate=rate,
        symbols=symbols,
        seed=seed,
        data=data,
        mapping=mapping,
    )
    raise typer.Exit(run_demo(load_settings(), options, as_json=json))
