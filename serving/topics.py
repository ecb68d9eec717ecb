"""What the log holds, and how far flows have read it: the answer to `tapeflow topics`."""

from dataclasses import asdict, dataclass
from typing import Any

from connectors.control import control_value
from connectors.log import Log
from connectors.scan import scan_records
from schemas.codec import HEADER_ROWS

_PROGRESS = "_progress."


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
    rows : int or None
        Rows in its records, where they were counted.
    """

    topic: str
    partition: int
    start: int
    end: int
    last_append_ns: int | None
    rows: int | None


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
        Whether rows are counted, for which all of the log is read.
    """
    states = []
    for name, config in log.topics().items():
        if name.startswith("_") and not control:
            continue
        for partition in range(config.partitions):
            newest = log.last(name, partition)
            states.append(
                PartitionState(
                    topic=name,
                    partition=partition,
                    start=log.start(name, partition),
                    end=log.end(name, partition),
                    last_append_ns=None if newest is None else newest.append_time_ns,
                    rows=_rows(log, name, partition) if count_rows else None,
                )
            )
    return states


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


def overview(
    log: Log, *, control: bool = False, count_rows: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Partitions and readers as plain values, for JSON."""
    return {
        "partitions": [
            asdict(one) for one in partition_states(log, control=control, count_rows=count_rows)
        ],
        "readers": [asdict(one) for one in reader_states(log)],
    }


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
                    **{name: counts.get(name, 0) for name in ("read", "used", "late", "held")},
                )
            )
    return states


def _rows(log: Log, topic: str, partition: int) -> int:
    return sum(
        int(record.header(HEADER_ROWS) or 0) for record in scan_records(log, topic, partition)
    )
