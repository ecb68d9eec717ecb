"""The body of ``tapeflow quality``: checks landed rows by day, and keeps what was found as rows of a topic."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from connectors.log import Log, Writer, open_log
from connectors.quality_measures import Measured, measure
from connectors.quality_sources import Source, open_source
from connectors.records import Partitioner, key_column, record_pieces, rows_record
from connectors.scan import scan_rows
from connectors.topics import create_topics
from schemas.digest import row_digests
from schemas.quality import checks
from schemas.quality_results import QUALITY_RESULTS
from schemas.registry import TOPICS, topic
from schemas.sessions import DAY_NS
from serving.quality_page import write_page
from serving.quality_suites import FAILED, judge
from serving.settings import Settings
from serving.times import wall_text

WRITER = "quality"
_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class QualityRequest:
    """What the command line says.

    Parameters
    ----------
    topics : tuple of str
        Which; all that landed where it is empty.
    targets : tuple of str
        Where the rows are read.
    first_day, last_day : int or None
        UTC days since 1970, inclusive.
    page : Path or None
        Where the HTML report goes.
    record : bool
        Whether the results are appended to the log.
    """

    topics: tuple[str, ...]
    targets: tuple[str, ...]
    first_day: int | None
    last_day: int | None
    page: Path | None
    record: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found.

    Parameters
    ----------
    results : pyarrow.RecordBatch
        Rows of `QUALITY_RESULTS`.
    appended : int
        How many of them were not in the log yet.
    changed : int
        How many are in the log with other findings for the same rows and the same check.
    empty : list of str
        What has no rows, in words.
    """

    results: pa.RecordBatch
    appended: int
    changed: int
    empty: list[str]

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return sum(1 for status in self.results.column("status").to_pylist() if status == FAILED)


def quality(settings: Settings, asked: QualityRequest) -> Found:
    """Measure, judge, and append what is new to the topic ``quality_results``.

    Raises
    ------
    KeyError
        For a name that is no topic's.
    """
    wanted = [topic(name) for name in asked.topics] or [
        one for one in TOPICS.values() if one is not QUALITY_RESULTS
    ]
    batches, empty = [QUALITY_RESULTS.empty()], []
    for target in asked.targets:
        with open_source(target, settings.store, settings.lake_path) as source:
            measured, without = _measured(source, wanted, settings.calendar, asked)
        empty += without
        for one, judged in zip(measured, judge(measured), strict=True):
            batches.append(results(one, judged, target))
    table = pa.Table.from_batches(batches).combine_chunks()
    rows = table.to_batches()[0] if table.num_rows else QUALITY_RESULTS.empty()
    appended = changed = 0
    if asked.record and rows.num_rows:
        with open_log(settings.log) as log:
            create_topics(log, settings.partitions)
            appended, changed = record(log, rows)
    return Found(results=rows, appended=appended, changed=changed, empty=empty)


def results(measured: Measured, judged: pl.DataFrame, target: str) -> pa.RecordBatch:
    """Judged measures as rows of `QUALITY_RESULTS`."""
    declared = {check.name: check for check in checks(measured.topic)}
    mine = [declared[name] for name in judged["check"]]
    first_ts = judged["first_ts"].to_arrow()
    has_row = judged["first_row"].is_not_null()
    columns: dict[str, Any] = {
        "source_topic": [measured.topic.name] * judged.height,
        "ts_event": (judged["day"] * DAY_NS).to_arrow(),
        "target": [target] * judged.height,
        "expectation": judged["check"].to_list(),
        "kind": [str(check.kind) for check in mine],
        "symbol": judged["symbol"].to_list(),
        "status": judged["status"].to_list(),
        "rows": judged["rows"].to_list(),
        "unexpected": judged["unexpected"].to_list(),
        "observed": judged["observed"].to_list(),
        "limit_low": [check.limit_low for check in mine],
        "limit_high": [check.limit_high for check in mine],
        "ts_first": first_ts,
        **{
            f"source_{name}": judged.select(
                pl.when(has_row).then(pl.col(f"first_{name}")).otherwise(None)
            )
            .to_series()
            .to_list()
            for name in ("partition", "offset", "row")
        },
        "meaning": [check.meaning for check in mine],
        "parameters": [
            orjson.dumps(check.parameters, option=orjson.OPT_SORT_KEYS).decode() for check in mine
        ],
        "position": judged["position"].to_list(),
        "note": judged["note"].to_list(),
    }
    return QUALITY_RESULTS.batch(columns)


def record(log: Log, rows: pa.RecordBatch) -> tuple[int, int]:
    """Append the results that the log does not have.

    Returns
    -------
    (int, int)
        How many were appended; and how many are there with other findings of the same rows: these are not
        appended, for a result is named by what it was made of.

    Raises
    ------
    FencedError
        Where another one records at the same time; nothing was appended.
    """
    # The fence first: of two at the same time, one records, and the other ends.
    with log.writer(WRITER) as writer:
        return _recorded(log, writer, rows)


def _recorded(log: Log, writer: Writer, rows: pa.RecordBatch) -> tuple[int, int]:
    partitions = log.topics()[QUALITY_RESULTS.name].partitions
    known = [
        _named(batch)
        for partition in range(partitions)
        for _, batch in scan_rows(log, QUALITY_RESULTS, partition)
    ]
    ours = _named(rows).with_row_index("at")
    before = pl.concat([_named(QUALITY_RESULTS.empty()), *known]).unique()
    both = ours.join(
        before, on=QUALITY_RESULTS.identity, how="left", nulls_equal=True, suffix="_before"
    )
    fresh = both.filter(pl.col("digest_before").is_null())["at"].unique().sort()
    same = both.filter(pl.col("digest") == pl.col("digest_before"))["at"].unique()
    new = rows.take(fresh.to_arrow())
    pieces = Partitioner(partitions).split(key_column(QUALITY_RESULTS, new), new)
    records = [
        rows_record(QUALITY_RESULTS, partition, small)
        for partition, piece in pieces
        for small in record_pieces(piece)
    ]
    if records:
        writer.commit(records, writer.number + 1)
    return len(fresh), rows.num_rows - len(fresh) - len(same)


def run_quality(settings: Settings, asked: QualityRequest, *, as_json: bool, out: TextIO) -> int:
    """Check and print; 0 where all holds, 1 where something failed, 2 where there was nothing to check."""
    found = quality(settings, asked)
    if asked.page is not None:
        write_page(asked.page, found.results, found.empty)
    if as_json:
        out.write(orjson.dumps(_value(found), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        # Symbols are data: [/x] in one is no style.
        _print(found, asked, Console(file=out, markup=False, emoji=False))
    if not found.results.num_rows:
        return 2
    return 1 if found.failed or found.changed else 0


def _named(rows: pa.RecordBatch) -> pl.DataFrame:
    """Identity and digest of each row."""
    frame = pl.from_arrow(pa.Table.from_batches([rows]).select(list(QUALITY_RESULTS.identity)))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - of a table, it is one
    digests = row_digests(QUALITY_RESULTS, rows)
    texts = [f"{high:016x}{low:016x}" for low, high in digests.tolist()]
    plain = frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
    return plain.with_columns(pl.Series("digest", texts, dtype=pl.String))


def _measured(
    source: Source, wanted: Sequence[Any], calendar: str, asked: QualityRequest
) -> tuple[list[Measured], list[str]]:
    measured, empty = [], []
    with _progress() as tell:
        for one in wanted:
            found = measure(
                source,
                one,
                calendar,
                first_day=asked.first_day,
                last_day=asked.last_day,
                on_day=tell(f"{source.target}: {one.name}"),
            )
            if found.days.height:
                measured.append(found)
            # A topic that was asked for by name, or a day that was: who asks wants to know.
            if asked.topics or asked.first_day is not None:
                empty += _without_rows(source.target, found, asked)
    return measured, empty


def _without_rows(target: str, found: Measured, asked: QualityRequest) -> list[str]:
    name = found.topic.name
    if not found.days.height:
        return [f"{name} in {target}: no rows{_span(asked)}"]
    if asked.first_day is None or asked.last_day is None:
        return []
    there = set(found.days["day"].to_list())
    missing = [day for day in range(asked.first_day, asked.last_day + 1) if day not in there]
    return [f"{name} in {target}: no rows on {np.datetime64(day, 'D')}" for day in missing]


def _span(asked: QualityRequest) -> str:
    if asked.first_day is None or asked.last_day is None:
        return ""
    first, last = (np.datetime64(day, "D") for day in (asked.first_day, asked.last_day))
    return f" on {first}" if first == last else f" from {first} to {last}"


def _value(found: Found) -> dict[str, Any]:
    rows = found.results.to_pylist()
    for row, ns in zip(
        rows, found.results.column("ts_event").cast(pa.int64()).to_pylist(), strict=True
    ):
        row["ts_event"] = str(np.datetime64(ns, "ns").astype("datetime64[D]"))
    for row, first in zip(
        rows, found.results.column("ts_first").cast(pa.int64()).to_pylist(), strict=True
    ):
        row["ts_first"] = None if first is None else f"{np.datetime64(first, 'ns')}Z"
    return {
        "ok": bool(rows) and not found.failed and not found.changed,
        "checked": len(rows),
        "failed": found.failed,
        "appended": found.appended,
        "changed": found.changed,
        "empty": found.empty,
        "results": rows,
    }


def _print(found: Found, asked: QualityRequest, console: Console) -> None:
    rows = found.results.to_pylist()
    failed = [row for row in rows if row["status"] == FAILED]
    if failed:
        table = Table(
            "topic", "day", "where", "expected", "symbol", "found", "first", title="Failed"
        )
        times = found.results.column("ts_first").cast(pa.int64()).to_pylist()
        first_of = [time for time, row in zip(times, rows, strict=True) if row["status"] == FAILED]
        for row, first in list(zip(failed, first_of, strict=True))[:_SHOWN]:
            table.add_row(
                row["source_topic"],
                f"{row['ts_event']:%Y-%m-%d}",
                row["target"],
                row["meaning"],
                row["symbol"] or "",
                f"{row['observed']:,.6g} ({row['unexpected']:,} of {row['rows']:,} rows)",
                wall_text(first),
            )
        console.print(table)
        if len(failed) > _SHOWN:
            console.print(f"and {len(failed) - _SHOWN} more; --json and the page have all")
    for line in found.empty:
        console.print(line)
    passed = sum(row["status"] == "passed" for row in rows)
    console.print(
        f"{len(rows):,} checks: {passed:,} passed, {len(failed):,} failed, "
        f"{len(rows) - passed - len(failed):,} not judged"
    )
    if asked.record:
        console.print(f"{found.appended:,} results appended to quality_results")
    if found.changed:
        console.print(
            f"{found.changed:,} results differ from those that were recorded of the same rows: the landed rows "
            "were altered, or the checks are another version's",
            style="bold red",
        )
    if asked.page is not None:
        console.print(f"report: {asked.page}")


@contextmanager
def _progress() -> Iterator[Callable[[str], Callable[[int], None]]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed:,} days"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def begin(what: str) -> Callable[[int], None]:
            task = progress.add_task(what, total=None)
            return lambda days: progress.update(task, advance=days)

        yield begin
