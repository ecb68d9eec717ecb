"""What Kafka's client fetched, as records of the log."""

import gc
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from operator import itemgetter
from typing import Any

from confluent_kafka import Consumer, Message

from connectors.kafka_options import local_error, log_error
from connectors.log import Record

_EOF = local_error("PARTITION_EOF")
# Messages handed over in one call: the most that pays, as the calls' own cost is gone by then.
_MESSAGES_MAX = 50_000
_NS_PER_MS = 1_000_000


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the garbage collector while thousands of records are made.

    They form no cycles, but each few hundred of them would start a collection that looks at the older
    ones again: it took up to half of the time of reading small records.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def records_of(topic: str, partition: int, messages: list[Message]) -> tuple[Record, ...]:
    """Messages of one partition as records.

    The fields are set column by column: that takes about half as long as the constructor of a frozen
    dataclass, and an inbox brings hundreds of thousands of records a second.
    """
    headers = _all_headers(messages)
    records = tuple(map(object.__new__, repeat(Record, len(messages))))
    columns: dict[str, Iterable[Any]] = {
        "topic": repeat(topic),
        "partition": repeat(partition),
        "offset": map(Message.offset, messages),
        "append_time_ns": map(
            _NS_PER_MS.__mul__, map(itemgetter(1), map(Message.timestamp, messages))
        ),
        "key": map(Message.key, messages),
        "headers": map(_headers, headers) if any(headers) else repeat(()),
        "value": map(Message.value, messages),
    }
    for name, column in columns.items():
        setter = getattr(Record, name).__set__
        deque(map(setter, records, column), maxlen=0)
    return records


def after(message: Message) -> int:
    """The offset that follows a message."""
    # The message that tells of the partition's end has the end's own offset.
    offset: int = message.offset()
    return offset + 1 if message.error() is None else offset


def consume(consumer: Consumer, timeout_s: float) -> list[Message]:
    """What has been fetched; waits for a first message where there is none."""
    # `consume` with a timeout waits for all the messages it was asked for; `poll` for one.
    messages: list[Message] = consumer.consume(_MESSAGES_MAX, 0)
    if messages or not timeout_s:
        return messages
    first = consumer.poll(timeout_s)
    return [] if first is None else [first, *consumer.consume(_MESSAGES_MAX, 0)]


def records_only(messages: list[Message], topic: str, partition: int) -> list[Message]:
    """The messages that are records: others tell of the partition's end, or of an error, which is raised."""
    errors = [error for error in map(Message.error, messages) if error is not None]
    if not errors:
        return messages
    for error in errors:
        if error.code() != _EOF:
            raise log_error(error, f"read of {topic}[{partition}]")
    return [message for message in messages if message.error() is None]


def _all_headers(messages: list[Message]) -> list[Any]:
    found: list[Any] = []
    rest = map(Message.headers, messages)
    while len(found) < len(messages):
        try:
            found.extend(rest)
        except SystemError:
            # A name that is no UTF-8 (Kafka's may be any bytes): the client can neither give it nor say so, and asked
            # again would give what no one may touch. The record goes on without its headers.
            found.append(None)
    return found


def _headers(found: list[tuple[str, bytes | None]] | None) -> tuple[tuple[str, bytes], ...]:
    # Others may write a header without a value; the contract knows only bytes.
    return tuple((name, value or b"") for name, value in found) if found else ()
