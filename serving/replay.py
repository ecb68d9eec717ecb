"""The body of ``tapeflow replay --compare``: derived topics, computed again, against the log."""

from collections.abc import Sequence
from typing import Any, TextIO

import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from connectors.log import Log
from flows.catalog import catalog
from flows.engines.compare import Comparison, Difference, compare
from flows.engines.epochs import epochs
from flows.engines.progress import shard_count
from flows.flow import Flow, FlowError


def comparisons(log: Log, names: Sequence[str]) -> list[Comparison]:
    """Every shard of flows (all if none is named) that has run, against the same computed again.

    Raises
    ------
    FlowError
        For a name that is no flow's.
    """
    known = catalog()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise FlowError(f"no flow {', '.join(unknown)}; there are {', '.join(known)}")
    found: list[Comparison] = []
    with _progress() as progress:
        for name in names or known:
            for shard in _shards(log, known[name]):
                task = progress.add_task(f"{name}/{shard}", rows=0)

                def count(rows: int, task: Any = task) -> None:
                    progress.update(task, advance=rows, rows=progress.tasks[task].completed)

                found += compare(log, known[name], shard, count)
    return found


def run_replay(log: Log, names: Sequence[str], *, as_json: bool, out: TextIO) -> int:
    """Compare and print; 0 where all is identical, 1 where a row differs, 2 where no flow has run."""
    found = comparisons(log, names)
    if as_json:
        value = [comparison_value(one) for one in found]
        out.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
    else:
        _print(found, Console(file=out))
    if not found:
        return 2
    return 0 if all(one.identical for one in found) else 1


def comparison_value(one: Comparison) -> dict[str, Any]:
    """A comparison as JSON has it."""
    first = one.difference
    return {
        "flow": one.flow,
        "shard": one.shard,
        "topic": one.topic,
        "identical": one.identical,
        "rows_in_log": one.in_log.rows,
        "rows_computed": one.computed.rows,
        "digest_in_log": one.in_log.hexdigest(),
        "digest_computed": one.computed.hexdigest(),
        "first_difference": None if first is None else _difference_value(first),
    }


def _difference_value(first: Difference) -> dict[str, Any]:
    return {
        "key": first.key,
        "place": first.place,
        "in_log": first.in_log,
        "computed": first.computed,
    }


def _shards(log: Log, kind: type[Flow]) -> list[int]:
    return [shard for shard in range(shard_count(log, kind)) if epochs(log, kind, shard)]


def _progress() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}: {task.fields[rows]:,.0f} rows again"),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _print(found: Sequence[Comparison], console: Console) -> None:
    table = Table(title="Replay against the log")
    for name in ("flow", "shard", "topic", "rows in log", "rows again", "digest again", "result"):
        table.add_column(
            name, justify="right" if name.startswith("rows") else "left", overflow="fold"
        )
    for one in found:
        table.add_row(
            one.flow,
            str(one.shard),
            one.topic,
            f"{one.in_log.rows:,}",
            f"{one.computed.rows:,}",
            one.computed.hexdigest(),
            "identical" if one.identical else "DIFFERENT",
        )
    console.print(table)
    if not found:
        console.print("No flow has run on this log: nothing to compare.")
    for one in found:
        if one.difference is not None:
            _print_difference(one, one.difference, console)


def _print_difference(one: Comparison, first: Difference, console: Console) -> None:
    console.print(
        f"First differing row of {one.topic} ({one.flow}/{one.shard}): key {first.key!r}, "
        f"its row {first.place}"
    )
    table = Table("field", "in the log", "computed again")
    fields = first.in_log or first.computed or {}
    for name in fields:
        left = "no such row" if first.in_log is None else str(first.in_log[name])
        right = "no such row" if first.computed is None else str(first.computed[name])
        table.add_row(name, left, right, style="" if left == right else "bold red")
    console.print(table)
