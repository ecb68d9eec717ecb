"""The HTML report of data quality: one page that needs no network, made of result rows alone."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.times import wall_text

_TEMPLATE = "quality.html.j2"
# More would make a page that no browser likes; the topic has all.
_FAILED_MAX = 1_000


def write_page(path: Path, results: pa.RecordBatch, empty: list[str]) -> None:
    """Write the report; the same results give the same bytes.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    results : pyarrow.RecordBatch
        Rows of `schemas.quality_results.QUALITY_RESULTS`.
    empty : list of str
        What had no rows, in words.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = _rows(results)
    failed = [row for row in rows if row["status"] == "failed"]
    text = environment.get_template(_TEMPLATE).render(
        counts=Counter(row["status"] for row in rows),
        failed=failed[:_FAILED_MAX],
        failed_count=len(failed),
        tables=_tables(rows),
        why_not=Counter(row["note"] for row in rows if row["status"] == "not_judged").most_common(),
        empty=empty,
        total=len(rows),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _rows(results: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = results.to_pylist()
    times = results.column("ts_first").cast(pa.int64()).to_pylist()
    for row, first in zip(rows, times, strict=True):
        row["day"] = f"{row['ts_event']:%Y-%m-%d}"
        row["first"] = wall_text(first)
        row["where"] = (
            ""
            if row["source_row"] is None
            else f"{row['source_partition']}:{row['source_offset']}:{row['source_row']}"
        )
        row["expected"] = _bounds(row)
    return rows


def _bounds(row: dict[str, Any]) -> str:
    low, high = row["limit_low"], row["limit_high"]
    return f"at most {high:g}" if low == 0 else f"{low:g} to {high:g}"


def _tables(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each place and topic: the days across, the checks down, and in each cell the worst status."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        table = found.setdefault(
            (row["target"], row["source_topic"]),
            {"target": row["target"], "topic": row["source_topic"], "days": {}, "checks": {}},
        )
        table["days"].setdefault(row["day"], row["rows"] if row["symbol"] is None else 0)
        check = table["checks"].setdefault(
            row["expectation"], {"meaning": row["meaning"], "kind": row["kind"], "cells": {}}
        )
        check["cells"].setdefault(row["day"], Counter())[row["status"]] += 1
    return list(found.values())
