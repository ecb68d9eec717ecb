"""Several files as one stream in order of event time, in bounded memory.

A row is never before a row that precedes it in its own file: a file's order is kept by merging on the
running maximum of its times. So a row whose time goes backwards is fed where it stands, and is late or not
by the log's rules; nothing is lost unseen. Rows of equal time come in the order of the files.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from connectors.feeds.source import Fault, FeedBatch
from connectors.records import event_times
from schemas.arrays import Int64s
from schemas.topic import Topic

_END_OF_TIME = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Consecutive rows and faults of one file.

    Parameters
    ----------
    file : int
        Index of the file.
    rows : FeedBatch
        Its rows and faults.
    times : numpy.ndarray of int64, shape (rows,)
        Running maximum of the file's event times, ns since 1970 UTC: what the rows are merged by. Rows of
        one line have one time, their latest: progress counts lines, and half of one cannot be done.
    """

    file: int
    rows: FeedBatch
    times: Int64s

    def cut(self, before_ns: int) -> tuple["Part | None", "Part | None"]:
        """The part with times below a bound, and the rest."""
        at = int(np.searchsorted(self.times, before_ns, side="left"))
        if at == len(self.times):
            return self, None
        if at == 0:
            return None, self
        line = int(self.rows.lines[at - 1])
        split = sum(fault.line <= line for fault in self.rows.faults)
        head = replace(
            self.rows,
            batch=self.rows.batch.slice(0, at),
            lines=self.rows.lines[:at],
            faults=self.rows.faults[:split],
            skipped={reason: lines[lines <= line] for reason, lines in self.rows.skipped.items()},
            last_line=line,
        )
        tail = replace(
            self.rows,
            batch=self.rows.batch.slice(at),
            lines=self.rows.lines[at:],
            faults=self.rows.faults[split:],
            skipped={reason: lines[lines > line] for reason, lines in self.rows.skipped.items()},
        )
        return (
            Part(file=self.file, rows=head, times=self.times[:at]),
            Part(file=self.file, rows=tail, times=self.times[at:]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeInput:
    """A file to merge: opened only when the stream comes to ``first_ns``."""

    first_ns: int
    batches: Callable[[], Iterator[FeedBatch]]


def merge(inputs: Sequence[MergeInput]) -> Iterator[list[Part]]:
    """Parts of the files, each list of them wholly before the next one in time.

    One block a file is held, and more only while a whole block has one time.
    """
    waiting = deque(sorted(range(len(inputs)), key=lambda at: inputs[at].first_ns))
    opened: dict[int, _Reader] = {}
    while waiting or opened:
        bound = min((reader.last_ns for reader in opened.values()), default=_END_OF_TIME)
        while waiting and (not opened or inputs[waiting[0]].first_ns <= bound):
            at = waiting.popleft()
            opened[at] = reader = _Reader(at, inputs[at].batches())
            bound = min(bound, reader.last_ns)
        parts: list[Part] = []
        for at in sorted(opened):
            parts += opened[at].take(bound)
            if opened[at].over:
                del opened[at]
        for reader in opened.values():
            if reader.last_ns == bound:
                reader.load()
        if parts:
            yield parts


def cut_all(parts: Sequence[Part], before_ns: int) -> tuple[list[Part], list[Part]]:
    """Parts below a bound, and the rest; a file's parts keep their order, those without rows too."""
    heads: list[Part] = []
    tails: list[Part] = []
    held_back: set[int] = set()
    for part in parts:
        head, tail = (None, part) if part.file in held_back else part.cut(before_ns)
        if head is not None:
            heads.append(head)
        if tail is not None:
            tails.append(tail)
            held_back.add(part.file)
    return heads, tails


def combine(parts: Sequence[Part]) -> list[tuple[Topic, pa.RecordBatch, Int64s]]:
    """The parts' rows by topic, in order of time, rows of equal time in the order of the parts."""
    by_topic: dict[str, list[Part]] = {}
    for part in parts:
        if part.rows.batch.num_rows:
            by_topic.setdefault(part.rows.topic.name, []).append(part)
    return [_combined(same) for _, same in sorted(by_topic.items())]


def faults(parts: Sequence[Part]) -> Iterator[tuple[int, Fault]]:
    """The parts' faults, each with the index of its file."""
    for part in parts:
        for fault in part.rows.faults:
            yield part.file, fault


def _combined(parts: list[Part]) -> tuple[Topic, pa.RecordBatch, Int64s]:
    topic = parts[0].rows.topic
    if len(parts) == 1:
        return topic, parts[0].rows.batch, parts[0].times
    table = pa.Table.from_batches([part.rows.batch for part in parts])
    batch = table.combine_chunks().to_batches()[0]
    times = np.concatenate([part.times for part in parts])
    if not (times[1:] >= times[:-1]).all():
        order = np.argsort(times, kind="stable")
        batch, times = batch.take(pa.array(order)), times[order]
    return topic, batch, times


class _Reader:
    """A file's parts that are read and not given yet."""

    def __init__(self, file: int, batches: Iterator[FeedBatch]) -> None:
        self._file = file
        self._batches = batches
        self._held: deque[Part] = deque()
        self._latest = np.iinfo(np.int64).min
        self._read_all = False
        self.load()

    @property
    def last_ns(self) -> int:
        """Rows below this time are all read."""
        return _END_OF_TIME if self._read_all else int(self._latest)

    @property
    def over(self) -> bool:
        """Whether all was given."""
        return self._read_all and not self._held

    def load(self) -> None:
        """Read on, to the next block that has rows."""
        for batch in self._batches:
            times = event_times(batch.topic, batch.batch)
            if len(times):
                times = np.maximum(np.maximum.accumulate(times), self._latest)
                if (batch.lines[1:] == batch.lines[:-1]).any():
                    times = times[np.searchsorted(batch.lines, batch.lines, side="right") - 1]
                self._latest = times[-1]
            self._held.append(Part(file=self._file, rows=batch, times=times))
            if len(times):
                return
        self._read_all = True

    def take(self, before_ns: int) -> list[Part]:
        """The held parts below a bound; all of them at the end of time."""
        taken: list[Part] = []
        while self._held:
            if before_ns == _END_OF_TIME:
                taken.append(self._held.popleft())
                continue
            head, tail = self._held[0].cut(before_ns)
            if head is not None:
                taken.append(head)
                self._held.popleft()
            if tail is not None:
                if head is not None:
                    self._held.appendleft(tail)
                break
        return taken
