"""Reads a partition whole, for tests of logs."""

from connectors.log import (
    Log,
    Record,
)


def read_all(log: Log, topic: str, partition: int, offset: int | None = None) -> list[Record]:
    """Every record from an offset (the start) up to the present end."""
    at = log.start(topic, partition) if offset is None else offset
    end = log.end(topic, partition)
    records: list[Record] = []
    while at < end:
        chunk = log.read(topic, partition, at)
        assert chunk.next_offset > at, "a read below the end must move on"
        records += chunk.records
        at = chunk.next_offset
    return records


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]
