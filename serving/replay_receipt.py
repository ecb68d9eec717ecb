"""The receipt of a comparison, for people and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.engines.compare import Comparison
from flows.engines.differences import Difference, DifferingRow
from flows.engines.sides import InputSpan

_COLUMNS = ("flow", "shard", "topic", "rows in {0}", "rows in {1}", "digest in {1}", "result")


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
        "since": one.since,
        "digest_in_log": one.in_log.hexdigest(),
        "digest_computed": one.computed.hexdigest(),
        "rows_only_in_log": one.counts.left_only,
        "rows_only_computed": one.counts.right_only,
        "rows_different": one.counts.different,
        "first_difference": None if first is None else _difference_value(first),
    }


def print_comparisons(
    found: Sequence[Comparison], title: str, sides: tuple[str, str], console: Console
) -> None:
    """A table of topics, and below it the first differing row of each that differs.

    Parameters
    ----------
    found : sequence of Comparison
        What to print.
    title : str
        Of the table.
    sides : (str, str)
        What the side that `Comparison` calls the log's is, and the other, in words.
    console : Console
        Where.
    """
    table = Table(title=title)
    for name in (column.format(*sides) for column in _COLUMNS):
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
        console.print(
            "Nothing to compare: no flow that was asked for has run on this log, or none has rows within --from "
            "and --to."
        )
    for flow, shard, since in sorted({(one.flow, one.shard, one.since) for one in found}):
        if since:
            console.print(f"{flow}/{shard} {since}", highlight=False)
    for one in found:
        if one.difference is not None:
            _print_difference(one, one.difference, sides, console)


def _counts(one: Comparison, sides: tuple[str, str]) -> str:
    counts = one.counts
    if one.in_log == one.computed:
        return "the same rows, in another order within a key or in other partitions"
    return (
        f"{counts.left_only:,} rows only in {sides[0]}, {counts.right_only:,} only in {sides[1]}, "
        f"{counts.different:,} different"
    )


def _difference_value(first: Difference) -> dict[str, Any]:
    return {
        "key": first.key,
        "place": first.place,
        "in_log": first.in_log,
        "computed": first.computed,
        "in_log_at": _place_value(first.left),
        "computed_at": _place_value(first.right),
    }


def _place_value(row: DifferingRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "place": None if row.place is None else asdict(row.place),
        "inputs": [asdict(span) for span in row.inputs],
    }


def _print_difference(
    one: Comparison, first: Difference, sides: tuple[str, str], console: Console
) -> None:
    console.print(f"{one.topic} ({one.flow}/{one.shard}): {_counts(one, sides)}", highlight=False)
    console.print(
        f"First differing row of {one.topic} ({one.flow}/{one.shard}): key {first.key!r}, "
        f"its row {first.place}"
    )
    table = Table("field", *sides)
    fields = first.in_log or first.computed or {}
    for name in fields:
        left = "no such row" if first.in_log is None else str(first.in_log[name])
        right = "no such row" if first.computed is None else str(first.computed[name])
        table.add_row(name, left, right, style="" if left == right else "bold red")
    console.print(table)
    for row, side in zip((first.left, first.right), sides, strict=True):
        if row is not None:
            console.print(f"{side}: {_origin(row)}", highlight=False)


def _origin(row: DifferingRow) -> str:
    parts = []
    if row.place is not None:
        at = row.place
        parts.append(f"{at.topic}[{at.partition}] offset {at.offset} row {at.row}")
    if row.inputs:
        parts.append("emitted when this was read: " + ", ".join(map(_span, row.inputs)))
    return "; ".join(parts) or "where it is from is not known"


def _span(one: InputSpan) -> str:
    first, last = str(one.first_offset), str(one.last_offset)
    if one.first_row is not None:
        first, last = f"{first} row {one.first_row}", f"{last} row {one.last_row}"
    return f"{one.topic}[{one.partition}] offset {first} to {last}"
