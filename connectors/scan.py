"""Reads a topic from a position to an end, record by record: for receipts, audits and comparisons."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from connectors.log import CorruptLogError, Log, LogError, Record
from connectors.records import decode_rows, is_rows
from schemas.topic import Topic


def scan_records(
    log: Log, name: str, partition: int, *, start: int | None = None, end: int | None = None
) -> Iterator[Record]:
    """The records of a partition, in order of offset.

    Parameters
    ----------
    log : Log
        Where.
    name, partition : str, int
        Topic and partition.
    start, end : int or None
        First offset, and the one to stop before; None for what the log has now.

    Raises
    ------
    LogError
        Where the log ends before ``end``.
    """
    offset = log.start(name, partition) if start is None else start
    end = log.end(name, partition) if end is None else end
    while offset < end:
        chunk = log.read(name, partition, offset)
        for record in chunk.records:
            if record.offset >= end:
                return
            yield record
        if chunk.next_offset <= offset and log.end(name, partition) < end:
            raise LogError(
                f"{name}[{partition}]: the log ends at {offset}, and there were records up to {end}: it "
                "has lost some, as a repair of a damaged one does; rebuild it from the lake or from the "
                "source's files"
            )
        offset = chunk.next_offset


def passed_over(error: CorruptLogError) -> None:
    """What is damaged is told to nobody."""
    del error


def readable_records(
    log: Log,
    name: str,
    partition: int,
    *,
    start: int,
    end: int,
    on_damage: Callable[[CorruptLogError], None] = passed_over,
) -> Iterator[Record]:
    """The records of a range but those that the log cannot give as they were appended.

    Parameters
    ----------
    log : Log
        Where.
    name, partition : str, int
        Topic and partition.
    start, end : int
        First offset, and the one to stop before.
    on_damage : callable
        Told of each record that is left out.
    """
    while start < end:
        try:
            chunk = log.read(name, partition, start)
        except CorruptLogError as error:
            on_damage(error)
            start += 1
            continue
        if chunk.next_offset <= start:
            return
        for record in chunk.records:
            if record.offset >= end:
                return
            yield record
        start = chunk.next_offset


def scan_rows(
    log: Log, topic: Topic, partition: int, *, start: int | None = None, end: int | None = None
) -> Iterator[tuple[Record, pa.RecordBatch]]:
    """The records of a partition that hold rows, with their rows."""
    for record in scan_records(log, topic.name, partition, start=start, end=end):
        if is_rows(record):
            yield record, decode_rows(topic, record)
