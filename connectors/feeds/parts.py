"""A file whose messages go to several topics: one part a topic, all of them from one reading.

The parts of a file are read side by side by the merge. What one has parsed is kept for the others for a few
stretches; a part that falls further behind, such as one that begins late, reads the file on a pass of its own.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from connectors.feeds.archive import ByteStream
from connectors.feeds.messages import TopicRows
from connectors.feeds.source import Block, BrokenFileError, Fault, Rows, Source, note_first_times
from schemas.arrays import Int64s
from schemas.topic import Topic

# Stretches kept for the parts that are behind: the merge keeps parts within a stretch or two of each other
# while all of them have rows.
_KEPT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive messages of a file, parsed.

    Parameters
    ----------
    groups : tuple of TopicRows
        Rows by topic; ``at`` is the message's number in the file, from 1.
    faults : tuple of Fault
        Messages that could not be read, ascending.
    skipped : mapping of str to numpy.ndarray of int64
        Reason to the numbers of messages left out.
    last_line : int
        Number of the last message.
    text : callable
        From a message's number to its text, for the dead letter.
    """

    groups: tuple[TopicRows, ...]
    faults: tuple[Fault, ...] = ()
    skipped: Mapping[str, Int64s] = field(default_factory=dict)
    last_line: int
    text: Callable[[int], bytes]


class MessageFile(ABC):
    """A file of messages, read as one stream of bytes.

    Parameters
    ----------
    path : pathlib.Path
        Plain or packed.
    block_bytes : int
        How much unpacked is parsed at a time.
    """

    topics: tuple[Topic, ...]

    def __init__(self, path: Path, block_bytes: int) -> None:
        self.path = path
        self._block_bytes = block_bytes
        self._stream = ByteStream(path)
        self.bytes_total = self._stream.bytes_total

    @property
    def bytes_done(self) -> int:
        """Bytes of the file that the pass that is read has come to."""
        return self._stream.bytes_done

    @abstractmethod
    def stretches(self) -> Iterator[Stretch]:
        """All of the file from its start, on a pass of its own.

        Raises
        ------
        BrokenFileError
            Behind the last good stretch, where the file breaks off.
        """


def parts(file: MessageFile) -> tuple[Source, ...]:
    """The parts of a file: the topics of which it has rows; one of them tells what became no row.

    Reads the file once, for each part's first times.
    """
    first: dict[str, dict[str, int]] = {topic.name: {} for topic in file.topics}
    rows = dict.fromkeys(first, 0)
    try:
        for stretch in file.stretches():
            for group in stretch.groups:
                name = group.topic.name
                rows[name] += len(group.at)
                note_first_times(first[name], group.topic, group.rows)
    except BrokenFileError:
        # What comes before the fault is fed, and the same error is met again, and told, on that way.
        pass
    # The part with most rows keeps step with the file: it tells of messages that are no rows.
    teller = max(rows, key=lambda name: rows[name])
    shared = _Shared(file)
    return tuple(
        _Part(shared, topic, first[topic.name], tells=topic.name == teller)
        for topic in file.topics
        if rows[topic.name] or topic.name == teller
    )


class _Shared:
    """One pass over a file, followed by several readers."""

    def __init__(self, file: MessageFile) -> None:
        self.file = file
        self._kept: deque[Stretch] = deque(maxlen=_KEPT)
        self._count = 0
        self._pass: Iterator[Stretch] | None = None
        self._broken: BrokenFileError | None = None

    def stretches(self) -> Iterator[Stretch]:
        """All stretches: kept ones, or those of the shared pass, or of one's own where both are past."""
        if self._pass is None:
            self._pass = self.file.stretches()
        at = 0
        while at >= self._count - len(self._kept):
            if at == self._count:
                stretch = self._next(self._pass)
                if stretch is None:
                    return
                self._kept.append(stretch)
                self._count += 1
            yield self._kept[at - self._count]
            at += 1
        yield from islice(self.file.stretches(), at, None)

    def _next(self, shared: Iterator[Stretch]) -> Stretch | None:
        """The shared pass's next stretch; where it broke off, every reader meets the error."""
        if self._broken is not None:
            raise self._broken
        try:
            return next(shared, None)
        except BrokenFileError as error:
            self._broken = error
            raise


class _Part(Source):
    """One topic of a file."""

    def __init__(
        self, shared: _Shared, topic: Topic, first: dict[str, int], *, tells: bool
    ) -> None:
        self._shared = shared
        self._first = first
        self._tells = tells
        self.path = shared.file.path
        self.topic = topic
        self.part = topic.name
        self.bytes_total = shared.file.bytes_total

    @property
    def bytes_done(self) -> int:
        """Bytes of the file read so far."""
        return self._shared.file.bytes_done

    def blocks(self, after_line: int = 0) -> Iterator[Block]:
        """The topic's rows behind a message; the file is parsed from its start for what it keeps in mind."""
        for stretch in self._shared.stretches():
            if stretch.last_line > after_line:
                yield _PartBlock(stretch, self.topic, after_line, tells=self._tells)

    def scan(self) -> dict[str, int]:
        """Key to first event time: known since the file was opened."""
        return self._first


class _PartBlock(Block):
    """A stretch's rows of one topic, behind a message."""

    def __init__(self, stretch: Stretch, topic: Topic, after_line: int, *, tells: bool) -> None:
        self._text = stretch.text
        self.last_line = stretch.last_line
        self.rows, self.lines = _behind(stretch, topic, after_line)
        self.faults = ()
        if tells:
            self.faults = tuple(fault for fault in stretch.faults if fault.line > after_line)
            self.skipped = {why: at[at > after_line] for why, at in stretch.skipped.items()}

    def text(self, line: int) -> bytes:
        """The message."""
        return self._text(line)


def _behind(stretch: Stretch, topic: Topic, after_line: int) -> tuple[Rows, Int64s]:
    for group in stretch.groups:
        if group.topic.name == topic.name:
            behind = group.at > after_line
            if behind.all():
                return group.rows, group.at
            batch = group.rows.batch.filter(pa.array(behind))
            refused = {why: rows[behind] for why, rows in group.rows.refused.items()}
            return Rows(batch=batch, refused=refused), group.at[behind]
    return Rows(batch=topic.empty()), np.empty(0, np.int64)
