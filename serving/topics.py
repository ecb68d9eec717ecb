"""What the log holds, and how far everybody has read it: the answer to `tapeflow topics`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from connectors.control import control_value
from connectors.landings import read_state
from connectors.log import Log
from connectors.log_sizes import estimate
from connectors.records import decode_watermarks, is_watermarks
from connectors.retention import Retention, plan
from connectors.scan import scan_records
from schemas.codec import HEADER_ROWS
from schemas.registry import TOPICS, inboxes

_PROGRESS = "_progress."
# Watermark rows are looked for among so many of the newest records.
_TAIL_RECORDS = 64
_TAIL_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PartitionState:
    """One partition of a topic.

    Parameters
    ----------
    topic, partition : str, int
        Which.
    start, end : int
        First offset kept, and the offset that the next record gets.
    last_append_ns : int or None
        Append time of the newest record, ns since 1970 UTC; None where there is none.
    records, rows, size_bytes : int
        What it holds; estimated from a few of its records, unless ``exact``.
    exact : bool
        Whether these were counted.
    watermark_min_ns, watermark_max_ns : int or None
        Least and greatest of its keys' newest watermarks, of those among its newest records; ns since
        1970 UTC.
    unended : int
        Offsets beyond ``end`` that nobody reads yet, since a transaction there has not ended.
    """

    topic: str
    partition: int
    start: int
    end: int
    last_append_ns: int | None
    records: int
    rows: int
    size_bytes: int
    exact: bool
    watermark_min_ns: int | None
    watermark_max_ns: int | None
    unended: int


@dataclass(frozen=True, kw_only=True)
class ReaderState:
    """How far a shard of a flow has committed one partition of one input.

    Parameters
    ----------
    flow, shard, topic, partition : str, int, str, int
        Who reads what.
    position, lag : int
        Next offset to read, and how many offsets that is behind the partition's end.
    read, used, late, held : int
        Rows of the input by what became of them, over the flow's whole life, for the shard.
    paused : bool
        Whether so many rows are held that the input is not read on until others have caught up.
    """

    flow: str
    shard: int
    topic: str
    partition: int
    position: int
    lag: int
    read: int
    used: int
    late: int
    held: int
    paused: bool


@dataclass(frozen=True, kw_only=True)
class SinkState:
    """How far a partition has landed in a sink.

    Parameters
    ----------
    sink, topic, partition : str, str, int
        What is where.
    position, lag : int
        Next offset to land, and how many offsets that is behind the partition's end.
    """

    sink: str
    topic: str
    partition: int
    position: int
    lag: int


def partition_states(
    log: Log, *, control: bool = False, count_rows: bool = False
) -> list[PartitionState]:
    """Every partition of every topic, in order of topic and partition.

    Parameters
    ----------
    log : Log
        Which.
    control : bool
        Whether control topics, whose names begin with an underscore, are listed too.
    count_rows : bool
        Whether records, rows and bytes are counted, for which all of the log is read.
    """
    unended = log.unended()
    return [
        _partition_state(
            log, name, partition, count_rows=count_rows, unended=unended.get((name, partition), 0)
        )
        for name, config in log.topics().items()
        if control or not name.startswith("_")
        for partition in range(config.partitions)
    ]


def reader_states(log: Log) -> list[ReaderState]:
    """Every shard's position in each of its inputs, by its last progress record."""
    topics = log.topics()
    states = []
    for name, config in topics.items():
        if not name.startswith(_PROGRESS):
            continue
        for shard in range(config.partitions):
            record = log.last(name, shard)
            if record is not None:
                states += _shard_states(log, shard, control_value(record))
    return states


def sink_states(log: Log) -> list[SinkState]:
    """How far every partition that has records and lands is in each of its sinks."""
    topics = log.topics()
    positions = read_state(log).positions
    boxes = {topic.inbox_name for topic in inboxes().values()}
    states = []
    for sink, landed in positions.items():
        for name, config in topics.items():
            if name not in TOPICS and not (name in boxes and sink == "lake"):
                continue
            for partition in range(config.partitions):
                start, end = log.start(name, partition), log.end(name, partition)
                position = landed.get(name, {}).get(partition, start)
                if end > start:
                    states.append(
                        SinkState(
                            sink=sink,
                            topic=name,
                            partition=partition,
                            position=position,
                            lag=end - position,
                        )
                    )
    return states


def overview(
    log: Log,
    *,
    now_ns: int,
    retention: Mapping[str, Retention],
    control: bool = False,
    count_rows: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Partitions, readers, sinks and retention as plain values, for JSON.

    Parameters
    ----------
    log : Log
        Which.
    now_ns : int
        From when ages count, ns since 1970 UTC.
    retention : mapping of str to Retention
        What the settings say, by topic.
    control, count_rows : bool
        See `partition_states`.
    """
    return {
        "partitions": [
            asdict(one) for one in partition_states(log, control=control, count_rows=count_rows)
        ],
        "readers": [asdict(one) for one in reader_states(log)],
        **_of_live_log(log, retention, now_ns),
    }


def _of_live_log(
    log: Log, retention: Mapping[str, Retention], now_ns: int
) -> dict[str, list[dict[str, Any]]]:
    """What is asked of a log only: a lake has landed, and is not cut."""
    if log.may_end_within_a_commit:
        return {"sinks": [], "retention": []}
    return {
        "sinks": [asdict(one) for one in sink_states(log)],
        "retention": [asdict(one) for one in plan(log, retention, now_ns)],
    }


def _partition_state(
    log: Log, name: str, partition: int, *, count_rows: bool, unended: int
) -> PartitionState:
    start, end = log.start(name, partition), log.end(name, partition)
    newest = log.last(name, partition)
    least, most = watermark_range(log, name, partition) if name in TOPICS else (None, None)
    if count_rows:
        records, rows, size = _counted(log, name, partition)
        exact = True
    else:
        found = estimate(log.stretches(name, partition), end)
        records, rows, size, exact = found.records, found.rows, found.size_bytes, found.exact
    return PartitionState(
        topic=name,
        partition=partition,
        start=start,
        end=end,
        last_append_ns=None if newest is None else newest.append_time_ns,
        records=records,
        rows=rows,
        size_bytes=size,
        exact=exact,
        watermark_min_ns=least,
        watermark_max_ns=most,
        unended=unended,
    )


def watermark_range(log: Log, name: str, partition: int) -> tuple[int | None, int | None]:
    """Least and greatest of the keys' newest watermarks among the newest records."""
    end = log.end(name, partition)
    at = max(log.start(name, partition), end - _TAIL_RECORDS)
    newest: dict[str, int] = {}
    while at < end:
        chunk = log.read(name, partition, at, max_bytes=_TAIL_BYTES)
        for record in chunk.records:
            if is_watermarks(record):
                batch = decode_watermarks(record)
                times = batch.column("ts_event").cast("int64").to_pylist()
                for key, time_ns in zip(batch.column("key").to_pylist(), times, strict=True):
                    newest[key] = max(time_ns, newest.get(key, time_ns))
        if chunk.next_offset <= at:
            break
        at = chunk.next_offset
    return min(newest.values(), default=None), max(newest.values(), default=None)


def _shard_states(log: Log, shard: int, progress: dict[str, Any]) -> list[ReaderState]:
    states = []
    for topic, offsets in sorted(progress["positions"].items()):
        counts = progress["counts"].get(topic, {})
        for partition, offset in sorted(offsets.items()):
            states.append(
                ReaderState(
                    flow=progress["flow"],
                    shard=shard,
                    topic=topic,
                    partition=int(partition),
                    position=offset,
                    lag=log.end(topic, int(partition)) - offset,
                    paused=topic in progress.get("paused", ()),
                    **{one: counts.get(one, 0) for one in ("read", "used", "late", "held")},
                )
            )
    return states


def _counted(log: Log, topic: str, partition: int) -> tuple[int, int, int]:
    records = rows = size = 0
    for record in scan_records(log, topic, partition):
        records += 1
        rows += int(record.header(HEADER_ROWS) or 0)
        headers = sum(len(name) + len(value) for name, value in record.headers)
        size += len(record.key or b"") + len(record.value or b"") + headers
    return records, rows, size
