"""Reads a topic from a position to an end, record by record: for receipts, audits and comparisons."""

from collections.abc import Iterator

import pyarrow as pa

from connectors.log import Log, LogError, Record
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


def scan_rows(
    log: Log, topic: Topic, partition: int, *, start: int | None = None, end: int | None = None
) -> Iterator[tuple[Record, pa.RecordBatch]]:
    """The records of a partition that hold rows, with their rows."""
    for record in scan_records(log, topic.name, partition, start=start, end=end):
        if is_rows(record):
            yield record, decode_rows(topic, record)
