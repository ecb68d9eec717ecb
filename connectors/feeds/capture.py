"""A recorded wire: a line a message, its receive time and a blank before it; read through the venue's parser.

The time is digits, ns or ms since 1970 UTC by their count. It is what `connectors.live.capture` writes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connectors.feeds.archive import line_blocks
from connectors.feeds.messages import MessageParser, Taken, TopicRows, notice_rows
from connectors.feeds.parts import MessageFile, Stretch
from connectors.feeds.source import Fault, Rows
from connectors.records import event_times
from schemas.arrays import Int64s
from schemas.feed_events import FEED_EVENTS
from schemas.validation import MAX_SKEW_NS

_NS_DIGITS = 19
_UNIT_NS = {13: 1_000_000, _NS_DIGITS: 1}
_NEEDED = "a receive time of 13 (ms) or 19 (ns) digits, a blank and a message were needed"

_AHEAD = (
    f"ts_event must be at most {MAX_SKEW_NS // 60_000_000_000} minutes ahead of the receive time"
)

_END, _BLANK, _ZERO = b"\n 0"


class CaptureFile(MessageFile):
    """A recorded wire.

    Parameters
    ----------
    path : pathlib.Path
        Plain or packed.
    parser : MessageParser
        Asked for a fresh one for each pass; what the first whole pass taught is known to the later ones.
    source : str
        Name of the source in `feed_events`.
    block_bytes : int
        How much unpacked text is parsed at a time.
    """

    def __init__(self, path: Path, parser: MessageParser, source: str, block_bytes: int) -> None:
        super().__init__(path, block_bytes)
        self.topics = (*parser.topics, FEED_EVENTS)
        self._parser = parser
        self._taught = False
        self._source = source

    def stretches(self) -> Iterator[Stretch]:
        """All of the file."""
        parser = self._parser.again()
        try:
            for data, first_line in line_blocks(self._stream, self._block_bytes):
                yield self._stretch(parser, data, first_line)
        finally:
            if not self._taught:
                self._parser, self._taught = parser, True

    def _stretch(self, parser: MessageParser, data: bytes, first_line: int) -> Stretch:
        lines = _Lines(data, first_line)
        taken = parser.take(lines.messages, lines.recv_ns)
        groups = taken.groups
        if taken.notices:
            groups = (*groups, notice_rows(self._source, taken.notices, lines.recv_ns))
        numbers = lines.numbers
        return Stretch(
            groups=tuple(
                TopicRows(
                    topic=group.topic,
                    rows=_refusing(group, lines.recv_ns[group.at]),
                    at=numbers[group.at],
                )
                for group in groups
            ),
            faults=_faults(lines, taken),
            skipped={why: numbers[at] for why, at in taken.skipped.items()},
            last_line=lines.last_line,
            text=lines.text,
        )


class _Lines:
    """A block's lines: their messages, receive times and numbers; those that are none by number.

    Times of one width, which is the rule, are read all at once.
    """

    def __init__(self, data: bytes, first_line: int) -> None:
        self._data = data
        self._first_line = first_line
        text = np.frombuffer(data, np.uint8)
        self._ends = np.flatnonzero(text == _END)
        self._starts = np.concatenate(([0], self._ends[:-1] + 1))
        self.last_line = first_line + len(self._ends) - 1
        self.bad: tuple[int, ...] = ()
        width = data.find(b" ")
        times = self._times(text, width)
        if times is None:
            self._one_by_one()
            return
        self.recv_ns = times
        self.numbers = np.arange(first_line, self.last_line + 1, dtype=np.int64)
        begins = (self._starts + width + 1).tolist()
        self.messages = [
            data[begin:end] for begin, end in zip(begins, self._ends.tolist(), strict=True)
        ]

    def text(self, line: int) -> bytes:
        """A line without its end."""
        at = line - self._first_line
        return self._data[self._starts[at] : self._ends[at]].rstrip(b"\r")

    def _times(
        self, text: "np.ndarray[tuple[int], np.dtype[np.uint8]]", width: int
    ) -> Int64s | None:
        if width not in _UNIT_NS or (self._ends - self._starts <= width).any():
            return None
        digits = text[self._starts[:, None] + np.arange(width)] - _ZERO
        if (digits > 9).any() or (text[self._starts + width] != _BLANK).any():
            return None
        powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
        times: Int64s = digits @ powers * _UNIT_NS[width]
        return times if (times >= 0).all() else None

    def _one_by_one(self) -> None:
        self.messages = []
        times, numbers, bad = [], [], []
        for number in range(self._first_line, self.last_line + 1):
            time, _, message = self.text(number).partition(b" ")
            unit = _UNIT_NS.get(len(time), 0)
            if not unit or not message or not time.isdigit() or int(time) * unit >= 1 << 63:
                bad.append(number)
                continue
            times.append(int(time) * unit)
            numbers.append(number)
            self.messages.append(message)
        self.recv_ns = np.array(times, np.int64)
        self.numbers = np.array(numbers, np.int64)
        self.bad = tuple(bad)


def _refusing(group: TopicRows, recv_ns: Int64s) -> Rows:
    """The rows, refusing those that were too far ahead when they came: a live feed rejected them for that."""
    ahead = event_times(group.topic, group.rows.batch) > recv_ns + MAX_SKEW_NS
    if not ahead.any():
        return group.rows
    return Rows(batch=group.rows.batch, refused={**group.rows.refused, _AHEAD: ahead})


def _faults(lines: _Lines, taken: Taken) -> tuple[Fault, ...]:
    found = [(line, _NEEDED) for line in lines.bad]
    found += [(int(lines.numbers[at]), reason) for at, reason in taken.faults]
    return tuple(Fault(line, reason, lines.text(line)) for line, reason in sorted(found))
