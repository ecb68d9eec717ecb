"""The contract of a message parser: bytes of a wire into rows, the same for live streams and recordings.

A parser keeps what the venue's protocol needs between messages (sequence numbers, clocks) and nothing else; it
knows no socket and no file. What it gives depends on the messages in their order, never on how they are
cut into calls.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from connectors.feeds.source import Rows
from schemas.arrays import Int64s
from schemas.feed_events import FEED_EVENTS
from schemas.field import TIMESTAMP
from schemas.topic import Topic

R = TypeVar("R")

# What reading a value of a decoded message raises where the message is not as it should be.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRows:
    """Rows of one topic.

    Parameters
    ----------
    topic : Topic
        Theirs.
    rows : Rows
        Before validation; ``ts_recv`` is ``ts_event``.
    at : numpy.ndarray of int64, shape (rows,)
        Index of the message that each row comes from, ascending; one message may give several rows.
    """

    topic: Topic
    rows: Rows
    at: Int64s


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that the parser noticed; all but ``at`` are fields of `feed_events`."""

    at: int
    kind: str
    symbol: str | None = None
    stream: str | None = None
    expected: int | None = None
    found: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What messages came to.

    Parameters
    ----------
    groups : tuple of TopicRows
        Those topics that have rows.
    faults : tuple of (int, str)
        Messages that could not be read, ascending, each with the reason.
    skipped : mapping of str to numpy.ndarray of int64
        Reason to the messages, ascending, that are left out for it by rule.
    notices : tuple of Notice
        Gaps and the like, in order.
    """

    groups: tuple[TopicRows, ...] = ()
    faults: tuple[tuple[int, str], ...] = ()
    skipped: Mapping[str, Int64s] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()


class MessageParser(ABC):
    """The protocol of one venue.

    ``topics`` are all that it may give rows of.
    """

    topics: tuple[Topic, ...]

    @abstractmethod
    def take(self, messages: Sequence[bytes], recv_ns: Int64s) -> Taken:
        """Rows of messages.

        Parameters
        ----------
        messages : sequence of bytes
            As they came over the wire.
        recv_ns : numpy.ndarray of int64, shape (messages,)
            When each was received, ns since 1970 UTC.
        """

    @abstractmethod
    def again(self) -> "MessageParser":
        """A parser for the same messages from their start, with what is better known beforehand."""


@dataclass(slots=True)
class Group:
    """Decoded messages of one kind, and their indices; two lists, since a tuple each costs the collector."""

    at: list[int] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    def add(self, at: int, message: dict[str, Any]) -> None:
        """Add a message."""
        self.at.append(at)
        self.messages.append(message)

    def cut(self, at: int) -> tuple["Group", "Group"]:
        """The first so many messages, and the rest."""
        return Group(self.at[:at], self.messages[:at]), Group(self.at[at:], self.messages[at:])


def sound(group: Group, build: Callable[[Group], R]) -> tuple[R, list[tuple[int, str]]]:
    """What is built from the messages of a group that are well, and the others with the reason.

    Where not all of them are well, those that are not are found by halving.
    """
    try:
        return build(group), []
    except MALFORMED:
        good = Group()
        faults: list[tuple[int, str]] = []
        # A stack, not recursion: last half first, so that the messages come in order.
        todo = [group]
        while todo:
            part = todo.pop()
            try:
                build(part)
            except MALFORMED as error:
                if len(part.at) == 1:
                    faults.append((part.at[0], malformed(error)))
                else:
                    todo += reversed(part.cut(len(part.at) // 2))
            else:
                good.at += part.at
                good.messages += part.messages
        return build(good), faults


def malformed(error: Exception) -> str:
    """What was wrong with a message, in words."""
    if isinstance(error, KeyError):
        return f"field {error} is missing"
    return f"a value is not as it should be: {error}"


def notice_rows(source: str, notices: Sequence[Notice], recv_ns: Int64s) -> TopicRows:
    """Notices as rows of `feed_events`, at the receive times of their messages."""
    at = np.array([notice.at for notice in notices], np.int64)
    ts = pa.array(recv_ns[at]).view(TIMESTAMP)
    columns = {
        name: pa.array([getattr(notice, name) for notice in notices], FEED_EVENTS.field(name).type)
        if name in {"expected", "found", "detail"}
        else pa.array(
            [getattr(notice, name) for notice in notices], pa.string()
        ).dictionary_encode()
        for name in ("kind", "symbol", "stream", "expected", "found", "detail")
    }
    named = pa.array([source] * len(notices), pa.string()).dictionary_encode()
    batch = FEED_EVENTS.batch({"source": named, "ts_event": ts, "ts_recv": ts, **columns})
    return TopicRows(topic=FEED_EVENTS, rows=Rows(batch=batch), at=at)


def in_order(one: TopicRows, other: TopicRows) -> TopicRows:
    """Rows of one topic in the order of their messages; of one message, those of ``one`` first."""
    at = np.concatenate([one.at, other.at])
    order = np.argsort(at, kind="stable")
    batches = [one.rows.batch, other.rows.batch]
    table = pa.Table.from_batches(batches).combine_chunks().take(pa.array(order))
    batch = table.combine_chunks().to_batches()[0] if len(at) else one.topic.empty()
    none = [np.zeros(len(rows), np.bool_) for rows in (one.at, other.at)]
    whys = dict.fromkeys([*one.rows.refused, *other.rows.refused])
    refused = {
        why: np.concatenate(
            [one.rows.refused.get(why, none[0]), other.rows.refused.get(why, none[1])]
        )[order]
        for why in whys
    }
    return TopicRows(topic=one.topic, rows=Rows(batch=batch, refused=refused), at=at[order])
