"""Trades for tests of flows: small made-up ones, and the real ones of the shared folder."""

import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv

from flows.flow import Emit, Flow, InputRows, Late, Rows, Watermarks
from schemas.market import TRADES


def parts_of(events: Sequence[Any], size: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Events in order, in parts of one kind and ``size`` at most, each with the place where it begins."""
    begin = 0
    for at in range(1, len(events) + 1):
        whole = (
            at == len(events) or at - begin == size or type(events[at]) is not type(events[begin])
        )
        if whole:
            yield begin, events[begin:at]
            begin = at


def rows_of(batch: pa.RecordBatch, partition: int = 0, offset: int = 0) -> Rows:
    """A batch as a flow gets it from one record."""
    n = batch.num_rows
    return Rows(
        inputs=(
            InputRows(
                batch=batch,
                partition=partition,
                offset=np.full(n, offset, dtype=np.int64),
                row=np.arange(n, dtype=np.int32),
            ),
        )
    )


def watermarks(keys: Sequence[str], times: Sequence[int]) -> Watermarks:
    """Watermark rows of the first input."""
    return Watermarks(keys=list(keys), times=np.array(times, dtype=np.int64), input=0)


def cuts(batch: pa.RecordBatch, at: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """The batch, cut at rows."""
    edges = [0, *sorted({a for a in at if 0 < a < batch.num_rows}), batch.num_rows]
    for begin, end in pairwise(edges):
        if end > begin:
            yield batch.slice(begin, end - begin)


def emitted_rows(
    flow: Flow, batches: Sequence[pa.RecordBatch], topic: str
) -> list[dict[str, object]]:
    """What a flow emits to one topic over some batches, as rows."""
    rows: list[dict[str, object]] = []
    for batch in batches:
        for emitted in flow.on_rows(rows_of(batch)):
            if isinstance(emitted, Emit) and emitted.topic.name == topic:
                rows += plain(emitted.batch)
    return rows


def plain(batch: pa.RecordBatch) -> list[dict[str, object]]:
    """Rows of a batch with times as integers."""
    names = batch.schema.names
    columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=names).to_pylist()


def late_rows(late: Late) -> list[tuple[int, str, int, int, bool]]:
    """What a Late says, row by row."""
    return list(
        zip(
            late.index.tolist(),
            late.window,
            late.window_end.tolist(),
            late.frontier.tolist(),
            late.used.tolist(),
            strict=True,
        )
    )


def taq_trades(shared: Path, symbol: str, date: str) -> pa.RecordBatch:
    """One day of real trades of one symbol, all conditions counted alike."""
    path = shared / "ticks/us_equity_taq" / symbol.lower() / f"{date}_trade.zip"
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        table = pc_csv.read_csv(
            file,
            read_options=pc_csv.ReadOptions(
                column_names=["ms", "price", "size", "venue", "conditions", "suspicious"]
            ),
            convert_options=pc_csv.ConvertOptions(column_types={"conditions": pa.string()}),
        )
    day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=ZoneInfo("America/New_York"))
    midnight = int(day.timestamp()) * 10**9
    n = table.num_rows
    flags = np.ones(n, dtype=bool)
    times = midnight + table["ms"].to_numpy() * 1_000_000
    return TRADES.batch(
        {
            "symbol": constant(symbol.upper(), n),
            "venue": table["venue"].combine_chunks().dictionary_encode(),
            "ts_event": times,
            "ts_recv": times,
            "price": table["price"].to_numpy() / 10_000,
            "size": table["size"].to_numpy().astype(float),
            "conditions": table["conditions"].combine_chunks().dictionary_encode(),
            "updates_high_low": flags,
            "updates_last": flags,
            "updates_volume": flags,
            "action": constant("new", n),
        }
    )


def constant(value: str, count: int) -> pa.DictionaryArray:
    """A dictionary-encoded column that has one value."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))
