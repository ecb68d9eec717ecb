"""Counts the rows of every topic in the log, in ClickHouse and in the lake, up to what has landed."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client

from connectors.checks import Check
from connectors.clickhouse import StoreLink
from connectors.lake_control import control_folder
from connectors.lake_files import by_partition, check_name, read_unmerged, readable
from connectors.lake_missing import missing_files
from connectors.landing_control_audit import control_check
from connectors.landings import CLICKHOUSE, LAKE, landed_positions
from connectors.log import CorruptLogError, Log
from connectors.parquet import LakeError, topic_files
from connectors.row_counts import RowCounts
from schemas.codec import HEADER_ROWS
from schemas.registry import TOPICS
from schemas.topic import Topic

_RECORD = ["_partition", "_offset"]
_EMPTY = {"_partition": pl.Int32, "_offset": pl.Int64, "rows": pl.Int64, "distinct": pl.Int64}


def landing_checks(
    log: Log, store_url: str, lake: Path, counts: RowCounts | None = None
) -> list[Check]:
    """For each topic and sink: rows in the log = rows landed, record by record; and all of ``lake/_control`` is there.

    Where retention has cut the log, what the lake's control records say of the records below its start
    stands for it.

    Parameters
    ----------
    log : Log
        The truth.
    store_url : str
        ClickHouse, embedded or a server.
    lake : Path
        Folder of the lake.
    counts : RowCounts or None
        Of the same log, where it is counted for other claims too.
    """
    counts = counts or RowCounts(log)
    positions = landed_positions(log)
    known = log.topics()
    checks: list[Check] = []
    with StoreLink(store_url) as store:
        for name, topic in TOPICS.items():
            for sink in (CLICKHOUSE, LAKE):
                ends = positions[sink].get(name)
                if ends is None:
                    continue
                if name not in known:
                    checks.append(_deleted(topic, sink))
                    continue
                try:
                    found = _in_store(store, topic) if sink == CLICKHOUSE else _in_lake(lake, topic)
                    cut = _cut(log, lake, topic, ends)
                except (CorruptLogError, LakeError) as error:
                    checks.append(_unreadable(topic, sink, str(error)))
                    continue
                in_log = _in_log(counts, topic, ends)
                gone = partial(missing_files, log, lake, topic) if sink == LAKE else _nothing
                checks.append(_check(topic, sink, cut, in_log, _up_to(found, ends), gone))
    if positions[LAKE]:
        checks.append(control_check(log, lake, positions[LAKE]))
    return checks


def _check(
    topic: Topic,
    sink: str,
    cut: pl.DataFrame,
    in_log: pl.DataFrame,
    landed: pl.DataFrame,
    gone: Callable[[int, int], str],
) -> Check:
    wanted = pl.concat([cut, in_log])
    terms = {"log": int(in_log["rows"].sum()), sink: int(landed["rows"].sum())}
    claim = f"rows in the log up to the landed position = rows in {sink}"
    if cut.height:
        terms = {"cut": int(cut["rows"].sum())} | terms
        claim = f"rows cut from the log (by lake/_control) and in it = rows in {sink}"
    return Check(
        subject=f"lander: {topic.name}",
        claim=claim,
        left=int(wanted["rows"].sum()),
        right=int(landed["rows"].sum()),
        terms=terms,
        detail=_first_difference(topic, wanted, landed, gone),
    )


def _unreadable(topic: Topic, sink: str, why: str) -> Check:
    claim = f"every file that the rows in {sink} are counted by can be read"
    return uncounted(topic, claim, "unreadable", why)


def _deleted(topic: Topic, sink: str) -> Check:
    why = f"the log has no topic {topic.name}, whose rows have landed in {sink}: it was deleted"
    return uncounted(topic, f"the topic whose rows are in {sink} is in the log", "missing", why)


def uncounted(topic: Topic, claim: str, what: str, why: str) -> Check:
    """What keeps rows from being counted or compared: one thing that should not be."""
    return Check(
        subject=f"lander: {topic.name}",
        claim=claim,
        left=1,
        right=0,
        terms={what: 1},
        detail=why,
    )


def _nothing(_partition: int, _offset: int) -> str:
    return ""


def _first_difference(
    topic: Topic, in_log: pl.DataFrame, landed: pl.DataFrame, gone: Callable[[int, int], str]
) -> str:
    both = in_log.join(landed, on=_RECORD, how="full", coalesce=True, suffix="_landed").fill_null(0)
    wrong = both.filter(
        (pl.col("rows") != pl.col("rows_landed")) | (pl.col("rows") != pl.col("distinct_landed"))
    ).sort(_RECORD)
    if wrong.is_empty():
        return ""
    first = wrong.row(0, named=True)
    told = (
        f"{topic.name}[{first['_partition']}] at offset {first['_offset']}: {first['rows']} rows in the "
        f"log, {first['rows_landed']} landed, {first['distinct_landed']} of them distinct "
        f"({wrong.height} records differ)"
    )
    files = gone(first["_partition"], first["_offset"])
    return f"{told}; {files}" if files else told


def _in_log(counts: RowCounts, topic: Topic, ends: dict[int, int]) -> pl.DataFrame:
    found = [pl.DataFrame(schema=_EMPTY)]
    for partition, end in sorted(ends.items()):
        offsets, rows = counts.by_record(topic, partition, end=end)
        columns = {"_partition": partition, "_offset": offsets, "rows": rows, "distinct": rows}
        found.append(pl.DataFrame(columns, schema=_EMPTY))
    return pl.concat(found)


def _cut(log: Log, lake: Path, topic: Topic, ends: dict[int, int]) -> pl.DataFrame:
    """Records below the log's start that have rows, by the lake's control records."""
    starts = {partition: log.start(topic.name, partition) for partition in ends}
    if not any(starts.values()):
        return pl.DataFrame(schema=_EMPTY)
    headers = pl.col("headers")
    said = headers.list.eval(
        pl.element().struct.field("value").filter(pl.element().struct.field("name") == HEADER_ROWS)
    )
    bounds = pl.LazyFrame(
        {"partition": list(starts), "start": list(starts.values())},
        schema={"partition": pl.Int32, "start": pl.Int64},
    )
    folder = control_folder(lake, topic.name)
    return _counted(
        lambda: sorted(folder.glob("*.parquet")),
        lambda records: (
            records.join(bounds, on="partition")
            .filter(pl.col("offset") < pl.col("start"))
            .select(
                _partition=pl.col("partition"),
                _offset=pl.col("offset"),
                rows=said.list.first().cast(pl.String).cast(pl.Int64).fill_null(0),
            )
            .filter(pl.col("rows") > 0)
            .with_columns(distinct=pl.col("rows"))
        ),
    )


def _in_store(store: StoreLink, topic: Topic) -> pl.DataFrame:
    # A record's rows are numbered from 0: as many as the largest number says, and none twice.
    statement = (
        "SELECT _partition, _offset, toInt64(count()) AS rows, toInt64(uniqExact(_row)) AS distinct "
        "FROM {table:Identifier} GROUP BY _partition, _offset"
    )

    def ask(client: Client) -> pl.DataFrame:
        if not client.command("EXISTS TABLE {table:Identifier}", parameters={"table": topic.name}):
            # Somebody has dropped it: it has no rows.
            return pl.DataFrame(schema=_EMPTY)
        table: pa.Table = client.query_arrow(statement, parameters={"table": topic.name})
        return _framed(pl.DataFrame(table))

    return store.run(ask)


def _in_lake(lake: Path, topic: Topic) -> pl.DataFrame:
    def listed() -> list[Path]:
        files = topic_files(lake, topic)
        for of_partition in by_partition(files).values():
            for one in of_partition:
                check_name(one, "_offset")
        return files

    return _counted(
        listed,
        lambda rows: rows.group_by(_RECORD).agg(
            rows=pl.len().cast(pl.Int64), distinct=pl.col("_row").n_unique().cast(pl.Int64)
        ),
    )


def _counted(
    listed: Callable[[], list[Path]], count: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> pl.DataFrame:
    """What is counted of files."""

    def read(files: list[Path]) -> pl.DataFrame:
        if not files:
            return pl.DataFrame(schema=_EMPTY)
        return _framed(_collected(count(pl.scan_parquet(files, hive_partitioning=False)), files))

    return read_unmerged(listed, read)


def _collected(counted: pl.LazyFrame, files: Sequence[Path]) -> pl.DataFrame:
    """What files give; an error that names the one that cannot be read."""
    try:
        return counted.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        for path in files:
            with readable(path):
                pq.read_table(path, partitioning=None)
        raise LakeError(f"lake: counting the rows of {files[0].parent}: {error}") from error


def _framed(found: pl.DataFrame) -> pl.DataFrame:
    return found.select([pl.col(name).cast(kind) for name, kind in _EMPTY.items()])


def _up_to(found: pl.DataFrame, ends: dict[int, int]) -> pl.DataFrame:
    bounds = pl.DataFrame(
        {"_partition": list(ends), "_end": list(ends.values())},
        schema={"_partition": pl.Int32, "_end": pl.Int64},
    )
    joined = found.join(bounds, on="_partition", how="left")
    # Rows of a partition that nothing has landed from are kept: they are a difference.
    return joined.filter(pl.col("_offset") < pl.col("_end").fill_null(2**62)).drop("_end")
