"""Counts the rows of every topic in the log, in ClickHouse and in the lake, up to what has landed."""

from pathlib import Path

import polars as pl
import pyarrow as pa

from connectors.checks import Check
from connectors.clickhouse import StoreLink
from connectors.landings import CLICKHOUSE, LAKE, landed_positions
from connectors.log import Log
from connectors.parquet import topic_files
from connectors.scan import scan_rows
from schemas.registry import TOPICS
from schemas.topic import Topic

_RECORD = ["_partition", "_offset"]
_EMPTY = {"_partition": pl.Int32, "_offset": pl.Int64, "rows": pl.Int64, "distinct": pl.Int64}


def landing_checks(log: Log, store_url: str, lake: Path) -> list[Check]:
    """For each topic and sink: rows in the log = rows landed, record by record.

    Parameters
    ----------
    log : Log
        The truth.
    store_url : str
        ClickHouse, embedded or a server.
    lake : Path
        Folder of the lake.
    """
    positions = landed_positions(log)
    checks: list[Check] = []
    with StoreLink(store_url) as store:
        for name, topic in TOPICS.items():
            for sink in (CLICKHOUSE, LAKE):
                ends = positions[sink].get(name)
                if ends is None:
                    continue
                found = _in_store(store, topic) if sink == CLICKHOUSE else _in_lake(lake, topic)
                checks.append(_check(topic, sink, _in_log(log, topic, ends), _up_to(found, ends)))
    return checks


def _check(topic: Topic, sink: str, in_log: pl.DataFrame, landed: pl.DataFrame) -> Check:
    return Check(
        subject=f"lander: {topic.name}",
        claim=f"rows in the log up to the landed position = rows in {sink}",
        left=int(in_log["rows"].sum()),
        right=int(landed["rows"].sum()),
        terms={"log": int(in_log["rows"].sum()), sink: int(landed["rows"].sum())},
        detail=_first_difference(topic, in_log, landed),
    )


def _first_difference(topic: Topic, in_log: pl.DataFrame, landed: pl.DataFrame) -> str:
    both = in_log.join(landed, on=_RECORD, how="full", coalesce=True, suffix="_landed").fill_null(0)
    wrong = both.filter(
        (pl.col("rows") != pl.col("rows_landed")) | (pl.col("rows") != pl.col("distinct_landed"))
    ).sort(_RECORD)
    if wrong.is_empty():
        return ""
    first = wrong.row(0, named=True)
    return (
        f"{topic.name}[{first['_partition']}] at offset {first['_offset']}: {first['rows']} rows in the "
        f"log, {first['rows_landed']} landed, {first['distinct_landed']} of them distinct "
        f"({wrong.height} records differ)"
    )


def _in_log(log: Log, topic: Topic, ends: dict[int, int]) -> pl.DataFrame:
    counted = [
        (partition, record.offset, batch.num_rows, batch.num_rows)
        for partition, end in sorted(ends.items())
        for record, batch in scan_rows(log, topic, partition, end=end)
        if batch.num_rows
    ]
    return pl.DataFrame(counted, schema=_EMPTY, orient="row")


def _in_store(store: StoreLink, topic: Topic) -> pl.DataFrame:
    # A record's rows are numbered from 0: as many as the largest number says, and none twice.
    statement = (
        "SELECT _partition, _offset, toInt64(count()) AS rows, toInt64(uniqExact(_row)) AS distinct "
        "FROM {table:Identifier} GROUP BY _partition, _offset"
    )
    table: pa.Table = store.run(
        lambda client: client.query_arrow(statement, parameters={"table": topic.name})
    )
    return _framed(pl.DataFrame(table))


def _in_lake(lake: Path, topic: Topic) -> pl.DataFrame:
    files = topic_files(lake, topic)
    if not files:
        return pl.DataFrame(schema=_EMPTY)
    rows = pl.scan_parquet(files, hive_partitioning=False)
    counted = rows.group_by(_RECORD).agg(
        rows=pl.len().cast(pl.Int64), distinct=pl.col("_row").n_unique().cast(pl.Int64)
    )
    return _framed(counted.collect(engine="streaming"))


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
