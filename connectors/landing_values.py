"""Compares the values of what has landed with the log's: a row that was changed where it lies is counted like any other.

Rows have digests, as receipts have them (`schemas.digest`), and a record the sum of those of its rows. The sums of the
log, of ClickHouse and of the lake are compared record by record, from the log's start to what has landed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client

from connectors.checks import Check
from connectors.clickhouse import StoreLink
from connectors.lake_files import read_unmerged, readable
from connectors.landing_audit import uncounted
from connectors.landings import CLICKHOUSE, LAKE, landed_positions
from connectors.log import CorruptLogError, Log
from connectors.parquet import LakeError, topic_files
from connectors.scan import scan_rows
from schemas.arrays import Int64s, UInt64s
from schemas.digest import row_digests
from schemas.registry import TOPICS
from schemas.topic import Topic

# Rows that are asked of ClickHouse at once: it answers whole.
_ROWS_AT_ONCE = 500_000
# Sums of parts of records that are kept before those of one record are put together: 32 bytes each.
_PARTS = 4_000_000
_HOUR_NS = 3_600 * 10**9
_RECORD = ["_partition", "_offset"]
_SUMS = {"_partition": pl.Int64, "_offset": pl.Int64, "low": pl.UInt64, "high": pl.UInt64}

_LISTING = """
WITH toUnixTimestamp64Nano({time:Identifier}) AS ns
SELECT _partition_id AS folder, toString({key:Identifier}) AS name,
    intDiv(ns, 3600000000000) - (ns % 3600000000000 < 0) AS hour, count() AS rows
FROM {table:Identifier}
GROUP BY folder, name, hour
ORDER BY folder, name, hour
"""
_PIECE = """
SELECT * EXCEPT (_row, _appended)
FROM {table:Identifier}
WHERE _partition_id = {folder:String} AND {key:Identifier} BETWEEN {first:String} AND {last:String}
    AND {time:Identifier} BETWEEN fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND fromUnixTimestamp64Nano({end:Int64}, 'UTC')
"""

# Of each partition of a topic: the first offset, and the one behind the last.
_Ranges = Mapping[int, tuple[int, int]]


def value_checks(log: Log, store_url: str, lake: Path) -> list[Check]:
    """For each topic and sink: the rows of every record in the log have the values there that they have in the log.

    What retention has cut from the log is not compared: the lake holds it, and its receipts (`tapeflow receipt verify`)
    say what it was.

    Parameters are those of `landing_checks`, which tells what is in the sinks of a topic that the log has not.
    """
    positions = landed_positions(log)
    known = log.topics()
    checks: list[Check] = []
    with StoreLink(store_url) as store:
        for name, topic in TOPICS.items():
            ends = {sink: positions[sink].get(name, {}) for sink in (CLICKHOUSE, LAKE)}
            if name not in known or not any(ends.values()):
                continue
            starts = {at: log.start(name, at) for at in range(known[name].partitions)}
            try:
                checks += _of_topic(
                    log,
                    store,
                    lake,
                    topic,
                    {sink: _ranges(starts, landed) for sink, landed in ends.items() if landed},
                )
            except (CorruptLogError, LakeError) as error:
                claim = "every record and file whose values are compared can be read"
                checks.append(uncounted(topic, claim, "unreadable", str(error)))
    return checks


def _of_topic(
    log: Log, store: StoreLink, lake: Path, topic: Topic, ranges: Mapping[str, _Ranges]
) -> list[Check]:
    in_log = _in_log(log, topic, _widest(list(ranges.values())))
    found = {
        sink: _in_store(store, topic, of_sink)
        if sink == CLICKHOUSE
        else _in_lake(lake, topic, of_sink)
        for sink, of_sink in ranges.items()
    }
    return [_check(topic, sink, in_log, found[sink], ranges[sink]) for sink in ranges]


def _ranges(starts: Mapping[int, int], ends: Mapping[int, int]) -> _Ranges:
    return {at: (starts[at], max(starts[at], end)) for at, end in ends.items() if at in starts}


def _widest(several: list[_Ranges]) -> _Ranges:
    ends: dict[int, tuple[int, int]] = {}
    for ranges in several:
        for at, (start, end) in ranges.items():
            # They begin at the same place: where the log does.
            ends[at] = (start, max(end, ends.get(at, (start, start))[1]))
    return ends


def _check(
    topic: Topic, sink: str, in_log: pl.DataFrame, landed: pl.DataFrame, ranges: _Ranges
) -> Check:
    wanted = in_log.filter(_within(ranges))
    both = wanted.join(landed, on=_RECORD, how="full", coalesce=True, suffix="_landed")
    wrong = both.filter(
        pl.col("low").ne_missing(pl.col("low_landed"))
        | pl.col("high").ne_missing(pl.col("high_landed"))
    ).sort(_RECORD)
    detail = ""
    if wrong.height:
        first = wrong.row(0, named=True)
        detail = (
            f"{topic.name}[{first['_partition']}] at offset {first['_offset']}: its rows in {sink} are not those of the "
            f"log ({wrong.height} records differ); _partition and _offset find them there, and the log has what they were"
        )
    return Check(
        subject=f"lander: {topic.name}",
        claim=f"records in the log up to the landed position = records with the same values in {sink}",
        left=both.height,
        right=both.height - wrong.height,
        terms={"records": both.height, "same": both.height - wrong.height},
        detail=detail,
    )


def _within(ranges: _Ranges) -> pl.Expr:
    return pl.any_horizontal(
        pl.lit(False),
        *(
            (pl.col("_partition") == at) & pl.col("_offset").is_between(start, end, closed="left")
            for at, (start, end) in ranges.items()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Places of records (n, 2) and the sums of both halves of their rows' digests (n, 2)."""

    places: Int64s
    sums: UInt64s


class _RecordSums:
    """Adds up digests of rows that come in any order, by record."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []
        self._count = 0

    def add(self, topic: Topic, rows: pa.RecordBatch, places: Int64s) -> None:
        """Take rows of a topic in, and the partition and offset of each, shape (n, 2)."""
        if rows.num_rows:
            self._take(_summed(_Part(places, row_digests(topic, rows))))

    def add_record(self, topic: Topic, rows: pa.RecordBatch, place: tuple[int, int]) -> None:
        """Take a record's rows in, which are all of one place."""
        if rows.num_rows:
            total = row_digests(topic, rows).sum(axis=0, dtype=np.uint64, keepdims=True)
            self._take(_Part(np.array([place], dtype=np.int64), total))

    def frame(self) -> pl.DataFrame:
        """One row a record."""
        if not self._parts:
            return pl.DataFrame(schema=_SUMS)
        one = self._together()
        columns = [*one.places.T, *one.sums.T]
        return pl.DataFrame(dict(zip(_SUMS, columns, strict=True)), schema=_SUMS)

    def _take(self, part: _Part) -> None:
        self._parts.append(part)
        self._count += len(part.places)
        if self._count > _PARTS:
            one = self._together()
            self._parts = [one]
            # New parts alone are counted: else, of more records than that, each batch would put all together again.
            self._count = 0

    def _together(self) -> _Part:
        return _summed(
            _Part(
                np.concatenate([one.places for one in self._parts]),
                np.concatenate([one.sums for one in self._parts]),
            )
        )


def _summed(part: _Part) -> _Part:
    order = np.lexsort((part.places[:, 1], part.places[:, 0]))
    places = part.places[order]
    begins = np.flatnonzero(np.r_[True, (places[1:] != places[:-1]).any(axis=1)])
    return _Part(places[begins], np.add.reduceat(part.sums[order], begins, axis=0))


def _in_log(log: Log, topic: Topic, ranges: _Ranges) -> pl.DataFrame:
    sums = _RecordSums()
    for at, (start, end) in sorted(ranges.items()):
        for record, batch in scan_rows(log, topic, at, start=start, end=end):
            sums.add_record(topic, batch, (at, record.offset))
    return sums.frame()


def _in_lake(lake: Path, topic: Topic, ranges: _Ranges) -> pl.DataFrame:
    columns = [*topic.schema.names, *_RECORD]

    def read(files: list[Path]) -> pl.DataFrame:
        sums = _RecordSums()
        for path in files:
            with readable(path), pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=columns):
                    _add_landed(sums, topic, pa.Table.from_batches([batch]), ranges)
        return sums.frame()

    return read_unmerged(lambda: topic_files(lake, topic), read)


def _in_store(store: StoreLink, topic: Topic, ranges: _Ranges) -> pl.DataFrame:
    named = {"table": topic.name, "key": topic.key, "time": topic.event_time}

    def read(client: Client) -> pl.DataFrame:
        sums = _RecordSums()
        if client.command("EXISTS TABLE {table:Identifier}", parameters={"table": topic.name}):
            listed = client.query_arrow(_LISTING, parameters=named)
            for piece in _pieces(pl.DataFrame(listed)):
                found = client.query_arrow(_PIECE, parameters=named | piece)
                _add_landed(sums, topic, found, ranges)
        return sums.frame()

    return store.run(read)


def _pieces(listed: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Parameters of `_PIECE` that together are a table, each of so many rows as are asked for at once.

    As rows lie there: some keys of a partition of the table, or of a key with more rows some hours.
    """
    for (folder,), of_folder in listed.group_by("folder", maintain_order=True):
        keys = of_folder.group_by("name", maintain_order=True).agg(pl.col("rows").sum())
        for names in _gathered(keys["name"], keys["rows"]):
            # By its bounds: ten thousand names are longer than a URL may be.
            first, last = names[0], names[-1]
            hours = of_folder.filter(pl.col("name").is_between(pl.lit(first), pl.lit(last)))
            for some in (
                _gathered(hours["hour"], hours["rows"]) if first == last else [hours["hour"]]
            ):
                yield {
                    "folder": folder,
                    "first": first,
                    "last": last,
                    "start": max(min(some) * _HOUR_NS, -(2**63)),
                    "end": min((max(some) + 1) * _HOUR_NS, 2**63) - 1,
                }


def _gathered(items: pl.Series, rows: pl.Series) -> Iterator[Sequence[Any]]:
    """Items in order, put together while they have no more rows than are asked for at once."""
    some: list[Any] = []
    held = 0
    for item, count in zip(items, rows, strict=True):
        if some and held + count > _ROWS_AT_ONCE:
            yield some
            some, held = [], 0
        some.append(item)
        held += count
    if some:
        yield some


def _add_landed(sums: _RecordSums, topic: Topic, found: pa.Table, ranges: _Ranges) -> None:
    """Take landed rows in that lie within ranges."""
    places = np.stack([found.column(name).cast(pa.int64()).to_numpy() for name in _RECORD], axis=1)
    inside = np.zeros(len(places), dtype=bool)
    for at, (start, end) in ranges.items():
        inside |= (places[:, 0] == at) & (places[:, 1] >= start) & (places[:, 1] < end)
    if not inside.any():
        return
    whole = found if inside.all() else found.filter(pa.array(inside))
    rows = whole.combine_chunks()
    sums.add(
        topic, topic.batch({name: rows.column(name) for name in topic.schema.names}), places[inside]
    )
