"""A followed topic on the event loop: where it is, its newest rows, and who is told of what comes.

All of it belongs to the event loop; the reader's thread hands rows over.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from schemas.topic import Topic
from serving.hub.frames import Frame, Shape, lines_frame, pieces, rows_frame, selected
from serving.hub.position import Next, position_text
from serving.hub.reader import Arrived, Lost
from serving.latest.newest import Changes, LatestView
from serving.latest.parts import newest_rows

# Spreads the ticks of groups evenly over an interval, however many there are (the golden ratio); so many of them that
# a thousand groups share timers, and few enough tick together that others have their turn in between.
_SPREAD = 0.618033988749895
_PHASES = 128


class PlainSubscriber(Protocol):
    """Who wants every row."""

    def offer(self, frames: list[Frame]) -> None:
        """Take frames, in order."""

    def cut(self, kind: str, detail: str) -> None:
        """Be told that the stream ends, and why."""


class ConflatedSubscriber(Protocol):
    """Who wants the newest rows at intervals."""

    def tick(self) -> None:
        """Be told that an interval is over and something has changed."""

    def cut(self, kind: str, detail: str) -> None:
        """Be told that the stream ends, and why."""


class Ticks:
    """Calls at the ends of intervals; those of one moment share a timer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: dict[float, tuple[asyncio.TimerHandle, list[Callable[[], None]]]] = {}

    def add(self, interval_s: float, phase_s: float, call: Callable[[], None]) -> float:
        """Call at the next interval's end, which lies a phase behind a whole one; when that is."""
        at = ((self._loop.time() - phase_s) // interval_s + 1) * interval_s + phase_s
        if at not in self._due:
            self._due[at] = self._loop.call_at(at, self._ring, at), []
        self._due[at][1].append(call)
        return at

    def drop(self, at: float, call: Callable[[], None]) -> None:
        """Do not call after all."""
        timer, calls = self._due[at]
        calls.remove(call)
        if not calls:
            timer.cancel()
            del self._due[at]

    def _ring(self, at: float) -> None:
        _, calls = self._due.pop(at)
        for call in calls:
            call()


class ConflatedGroup:
    """Subscribers of one shape and interval: they tick together, so that a frame is made once.

    Parameters
    ----------
    feed : TopicFeed
        Of what.
    shape : Shape
        Which rows.
    interval_s : float
        How often at most.
    phase : float
        Which part of an interval behind a whole one the ticks are, in [0, 1).
    """

    def __init__(self, feed: "TopicFeed", shape: Shape, interval_s: float, phase: float) -> None:
        self.subscribers: set[ConflatedSubscriber] = set()
        self._feed = feed
        self._shape = shape
        self._changes = Changes(feed.view, _visible_keys(feed.topic, shape))
        self._interval_s = interval_s
        self._phase_s = phase * interval_s
        self._due_s: float | None = None
        self._made: tuple[int, int, Frame | None] = (-1, -1, None)

    def changed(self) -> None:
        """Something has come: tick at the next interval's end."""
        if self._due_s is None:
            self._due_s = self._feed.ticks.add(self._interval_s, self._phase_s, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        if self._due_s is not None:
            self._feed.ticks.drop(self._due_s, self._tick)

    def pull(self, since: int) -> tuple[Frame | None, int]:
        """What changed behind a change, and the change that it reaches to; shared by all who were there."""
        view = self._feed.view
        begun, reached, frame = self._made
        if (begun, reached) != (since, view.change):
            frame = self._frame(since)
            self._made = (since, view.change, frame)
        return frame, view.change

    def _frame(self, since: int) -> Frame | None:
        view, topic = self._feed.view, self._feed.topic
        position = self._feed.position_text
        if self._shape.arrow:
            entries = self._changes.entries(since)
            return rows_frame(topic, view.batch(entries), position, arrow=True) if entries else None
        lines = self._changes.lines(since)
        return lines_frame(topic, lines, position) if lines else None

    def _tick(self) -> None:
        self._due_s = None
        self._feed.idle.append(self)
        for one in self.subscribers:
            one.tick()


class TopicFeed:
    """A followed topic.

    Parameters
    ----------
    topic : Topic
        Which.
    positions : dict of int to int
        Next offset of each partition.
    """

    def __init__(self, topic: Topic, positions: dict[int, int]) -> None:
        self.topic = topic
        self.positions = positions
        self.position_text = ""
        self.view = LatestView(topic)
        self.keeps_newest = False
        self.idle: list[ConflatedGroup] = []
        self.ticks = Ticks()
        self.subscribers = 0
        self._plain: dict[Shape, set[PlainSubscriber]] = {}
        self._conflated: dict[tuple[Shape, float], ConflatedGroup] = {}
        self._phases = itertools.count()
        self._moved: list[asyncio.Future[None]] = []
        self._set_text()

    def take(self, came: Arrived) -> None:
        """Take in what has come, and tell who wants it."""
        if came.offset < self.positions[came.partition]:
            # Left over from before the topic was followed anew.
            return
        if came.batch.num_rows and self.keeps_newest:
            self.view.apply(came.newest or newest_rows(self.topic, _alone(came.batch)))
        self.positions[came.partition] = came.next_offset
        self._set_text()
        if came.batch.num_rows:
            rows = Rows(came.partition, came.offset, came.next_offset, 0, came.batch)
            others = {partition: (offset, 0) for partition, offset in self.positions.items()}
            for shape, subscribers in list(self._plain.items()):
                frames = frames_of(self.topic, rows, others, shape)
                for one in list(subscribers):
                    one.offer(frames)
            for group in self.idle:
                group.changed()
            self.idle.clear()
        self._tell_moved()

    def lose(self, lost: Lost) -> None:
        """Rows were trimmed before they could be read: whoever wants every row must know."""
        self.positions[lost.partition] = lost.next_offset
        self._set_text()
        cut: list[PlainSubscriber | ConflatedSubscriber] = []
        for subscribers in self._plain.values():
            cut += subscribers
        for group in self._conflated.values():
            cut += group.subscribers
        for one in cut:
            one.cut("lost", "rows were trimmed from the log before they could be read")
        self._tell_moved()

    def attach(self, shape: Shape, subscriber: PlainSubscriber) -> None:
        """Tell a subscriber of every row from now on."""
        self._plain.setdefault(shape, set()).add(subscriber)

    def detach(self, shape: Shape, subscriber: PlainSubscriber) -> None:
        """Tell it no more."""
        subscribers = self._plain.get(shape, set())
        subscribers.discard(subscriber)
        if not subscribers:
            self._plain.pop(shape, None)

    def attach_conflated(
        self, shape: Shape, interval_s: float, subscriber: ConflatedSubscriber
    ) -> ConflatedGroup:
        """Tell a subscriber of changes from now on, at intervals."""
        group = self._conflated.get((shape, interval_s))
        if group is None:
            phase = int(next(self._phases) * _SPREAD % 1 * _PHASES) / _PHASES
            group = self._conflated[shape, interval_s] = ConflatedGroup(
                self, shape, interval_s, phase
            )
            self.idle.append(group)
        group.subscribers.add(subscriber)
        return group

    def detach_conflated(
        self, shape: Shape, interval_s: float, subscriber: ConflatedSubscriber
    ) -> None:
        """Tell it no more."""
        group = self._conflated.get((shape, interval_s))
        if group is None:
            return
        group.subscribers.discard(subscriber)
        if not group.subscribers:
            group.stop()
            del self._conflated[shape, interval_s]
            if group in self.idle:
                self.idle.remove(group)

    async def moved(self) -> None:
        """Wait until something has come."""
        future = asyncio.get_running_loop().create_future()
        self._moved.append(future)
        await future

    def _set_text(self) -> None:
        self.position_text = position_text(
            {partition: (offset, 0) for partition, offset in self.positions.items()}
        )

    def _tell_moved(self) -> None:
        moved, self._moved = self._moved, []
        for future in moved:
            if not future.done():
                future.set_result(None)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a record, from its row ``first`` on; what follows is at ``next_offset``."""

    partition: int
    offset: int
    next_offset: int
    first: int
    batch: pa.RecordBatch


def frames_of(topic: Topic, rows: Rows, others: Mapping[int, Next], shape: Shape) -> list[Frame]:
    """The rows of a record that a shape has, as frames.

    Parameters
    ----------
    topic : Topic
        Of the rows.
    rows : Rows
        Of the record.
    others : mapping of int to (int, int)
        Next row of each other partition.
    shape : Shape
        Which rows, and how.
    """
    frames = []
    row, end = rows.first, rows.first + rows.batch.num_rows
    for piece in pieces(rows.batch):
        row += piece.num_rows
        wanted = selected(topic, piece, shape)
        if wanted.num_rows:
            here = (rows.next_offset, 0) if row == end else (rows.offset, row)
            text = position_text({**others, rows.partition: here})
            frames.append(rows_frame(topic, wanted, text, arrow=shape.arrow))
    return frames


def _visible_keys(topic: Topic, shape: Shape) -> frozenset[str] | None:
    """Keys whose newest rows a shape has; where accounts are the keys, only those that may be seen."""
    if shape.accounts is None or topic.key != "account":
        return shape.keys
    return shape.accounts if shape.keys is None else shape.keys & shape.accounts


def _alone(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows in a memory of their own: one of them that is kept would keep all that were decoded with it."""
    return batch.take(pa.array(range(batch.num_rows)))
