"""The body of ``tapeflow runs``: the runs that replays have kept; what is in them; dropping one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from connectors.log import Log
from connectors.run_log import MANIFEST_TOPIC, check_run_name, run_names, run_topic, topics_of_run
from flows.flow import FlowError
from serving.run_landing import database_of, drop_landed
from serving.run_manifest import Manifest
from serving.times import wall_text

_COLUMNS = ("run", "flows", "parameters", "range", "rows", "made", "MiB", "tables")


def run_value(run: Manifest) -> dict[str, Any]:
    """A run as JSON has it."""
    return {
        "run": run.run,
        "flows": run.flows,
        "params_hash": run.arguments.params_hash,
        "params": run.arguments.params,
        "from": run.arguments.begin,
        "to": run.arguments.end,
        "source": run.arguments.source,
        "complete": run.done_ns is not None,
        "begun": wall_text(run.begun_ns),
        "done": wall_text(run.done_ns),
        "rows": run.rows,
        "digests": run.digests,
        "size_bytes": run.size_bytes,
        "database": database_of(run.run),
    }


def print_runs(found: Sequence[Manifest], console: Console) -> None:
    """A table of runs."""
    if not found:
        console.print("No runs. `tapeflow replay --into NAME` makes one.")
        return
    table = Table(title="Runs")
    for name in _COLUMNS:
        table.add_column(
            name, justify="right" if name in {"rows", "MiB"} else "left", overflow="fold"
        )
    for run in found:
        table.add_row(
            run.run,
            ", ".join(run.flows),
            run.arguments.params_hash or "as live",
            run.arguments.range,
            f"{sum(run.rows.values()):,}" if run.done_ns else "not complete",
            wall_text(run.done_ns or run.begun_ns),
            f"{run.size_bytes / (1 << 20):.1f}",
            database_of(run.run),
        )
    console.print(table)


def drop_run(log: Log, run: str, store: str, lake: Path) -> list[str]:
    """Remove a run: its tables, its files in the lake, its topics; what was removed.

    Safe to repeat: the manifest goes last, so that a run half dropped is still listed.

    Raises
    ------
    FlowError
        Where there is no such run.
    """
    check_run_name(run)
    topics = topics_of_run(log, run)
    if not topics:
        names = ", ".join(run_names(log)) or "none"
        raise FlowError(f"no run {run!r}; there are {names} (`tapeflow runs`)")
    drop_landed(run, store, lake)
    for name in sorted(topics, key=lambda name: name == MANIFEST_TOPIC):
        log.delete_topic(run_topic(run, name))
    return [run_topic(run, name) for name in topics]
