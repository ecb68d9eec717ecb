"""The rows of a topic as they are appended, decoded: the answer to `tapeflow tail`."""

from collections.abc import Iterator
from itertools import chain, islice
from threading import Event
from typing import Any

import orjson

from connectors.log import Log, Record, UnknownTopicError
from connectors.records import decode_rows, decode_watermarks, is_rows, is_watermarks
from schemas.json_codec import encode_lines
from schemas.registry import TOPICS

_WAIT_S = 0.25


def tail(
    log: Log, name: str, stop: Event, *, beginning: bool, limit: int | None
) -> Iterator[dict[str, Any]]:
    """Rows of a topic, each a dict with ``_partition``, ``_offset`` and ``_row`` in front.

    Watermark rows have ``_watermark`` set; records of control topics and inboxes come as their text.

    Parameters
    ----------
    log, name : Log, str
        Which topic of which log.
    stop : threading.Event
        Ends it.
    beginning : bool
        Whether to begin at the first record kept, and stop at the present end; else it waits for new ones.
    limit : int or None
        End after so many rows.

    Raises
    ------
    ValueError
        For a limit below 0.
    """
    if limit is not None and limit < 0:
        raise ValueError(f"tail: limit is {limit}: 0 or more is needed, or None for no limit")
    records = _records(log, name, stop, beginning=beginning)
    return islice(chain.from_iterable(map(_rows, records)), limit)


def _records(log: Log, name: str, stop: Event, *, beginning: bool) -> Iterator[Record]:
    partitions = range(_partitions(log, name))
    ends = {(name, partition): log.end(name, partition) for partition in partitions}
    first = log.start if beginning else log.end
    positions = {(name, partition): first(name, partition) for partition in partitions}
    while not stop.is_set():
        moved = False
        for (topic, partition), offset in positions.items():
            chunk = log.read(topic, partition, offset)
            yield from chunk.records
            moved = moved or chunk.next_offset != offset
            positions[topic, partition] = chunk.next_offset
        if beginning and all(positions[where] >= end for where, end in ends.items()):
            return
        if not moved:
            log.wait(positions, _WAIT_S)


def _partitions(log: Log, name: str) -> int:
    topics = log.topics()
    if name not in topics:
        raise UnknownTopicError(f"no topic {name!r}; there are {', '.join(topics)}")
    return topics[name].partitions


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    where = {"_partition": record.partition, "_offset": record.offset}
    # A person or a pipe reads this, one row after the other: no hot path.
    if is_rows(record):
        topic = TOPICS[record.topic]
        for at, line in enumerate(encode_lines(topic, decode_rows(topic, record)).splitlines()):
            yield {**where, "_row": at, **orjson.loads(line)}
    elif is_watermarks(record):
        batch = decode_watermarks(record)
        times = batch.column("ts_event").cast("string").to_pylist()
        for at, key in enumerate(batch.column("key").to_pylist()):
            yield {**where, "_row": at, "_watermark": True, "key": key, "ts_event": times[at]}
    else:
        yield {**where, "_row": 0, "value": (record.value or b"").decode(errors="replace")}
