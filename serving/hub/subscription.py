"""A client's stream: what it missed, from the log, then what comes; every row once, or the newest at intervals."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import pyarrow as pa

from connectors.log import Log, Record, TruncatedError
from connectors.records import decode_rows, is_rows
from schemas.topic import Topic
from serving.hub.feed import ConflatedGroup, Rows, TopicFeed, frames_of
from serving.hub.frames import Frame, Shape, pieces, rows_frame, selected
from serving.hub.position import LATEST, Next, position_text
from serving.latest.newest import Changes, LatestView
from serving.latest.parts import newest_rows

# What may wait for a client that takes every row: some seconds of a busy topic.
QUEUE_BYTES = 8 << 20
QUEUE_FRAMES = 2_000
_READ_BYTES = 1 << 20


class StreamEndError(Exception):
    """A stream that the server ends.

    Parameters
    ----------
    kind : str
        ``slow``, ``trimmed``, ``lost`` or ``closing``.
    detail : str
        In words.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client subscribes to.

    Parameters
    ----------
    topic : Topic
        Which.
    shape : Shape
        Which rows, and how.
    interval_s : float
        0 for every row; else the newest row of each group, so often at most.
    position : dict of int to (int, int) or None
        Where to begin: next row of each partition; None for now.
    snapshot : bool
        Whether the newest rows that there are come first.
    """

    topic: Topic
    shape: Shape
    interval_s: float
    position: dict[int, Next] | None = None
    snapshot: bool = False


class Subscription:
    """A client's stream.

    Parameters
    ----------
    log : Log
        Where what it missed is read.
    feed : TopicFeed
        What comes.
    wanted : Wanted
        What it wants.
    tail : dict of int to int or None
        Where the newest rows that come first are read from, of a topic whose newest rows the feed has not kept.
    """

    def __init__(
        self, log: Log, feed: TopicFeed, wanted: Wanted, tail: dict[int, int] | None = None
    ) -> None:
        self.wanted = wanted
        self._has_tail = tail is not None
        # Of a stream of now too: what comes before the client is told of anything is missed otherwise.
        at = feed.positions if tail is None else tail
        self._begin = wanted.position or {one: (offset, 0) for one, offset in at.items()}
        self._log = log
        self._feed = feed
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._end: StreamEndError | None = None
        self._group: ConflatedGroup | None = None
        self._attached = False
        # Where what comes begins, once the client is told of it; and the newest change before.
        self._joined: dict[int, int] | None = None
        self._since = 0
        if self._may_join():
            self._join()

    @property
    def position(self) -> str:
        """Where it begins: whoever loses the stream before its first frame goes on from here.

        Where the newest rows come first that is `LATEST`: until they have come there is no other place to go on from.
        """
        return LATEST if self.wanted.snapshot else position_text(self._begin)

    async def frames(self) -> AsyncGenerator[Frame, None]:
        """What the client gets, for as long as it takes it.

        Where the newest rows are wanted, a frame with them comes first, though there be none.

        Raises
        ------
        StreamEndError
            Where the server ends it; after what was queued before.
        """
        async for frame in self._until_now():
            yield frame
        if self._joined is None:
            self._join()
        since = self._since
        for frame in self._kept():
            yield frame
        while True:
            if self._group is not None and self._end is None:
                self._wake.clear()
                pulled, since = self._group.pull(since)
                if pulled is not None:
                    yield pulled
            elif self._queue:
                frame = self._queue.popleft()
                self._queued_bytes -= len(frame.body)
                yield frame
                continue
            elif self._end is not None:
                raise self._end
            else:
                self._wake.clear()
            await self._wake.wait()

    def close(self) -> None:
        """Be told of nothing more."""
        if not self._attached:
            return
        self._attached = False
        if self._group is None:
            self._feed.detach(self.wanted.shape, self)
        else:
            self._feed.detach_conflated(self.wanted.shape, self.wanted.interval_s, self)

    def offer(self, frames: list[Frame]) -> None:
        """Take frames, in order; a client that is too far behind is cut off."""
        if self._end is not None or not frames:
            return
        self._queue.extend(frames)
        self._queued_bytes += sum(len(frame.body) for frame in frames)
        if self._queued_bytes > QUEUE_BYTES or len(self._queue) > QUEUE_FRAMES:
            self.cut(
                "slow", "frames were not taken as fast as they came; resume from the last position"
            )
        self._wake.set()

    def tick(self) -> None:
        """An interval is over."""
        self._wake.set()

    def cut(self, kind: str, detail: str) -> None:
        """End the stream behind what is queued."""
        self._end = self._end or StreamEndError(kind, detail)
        self.close()
        self._wake.set()

    def _may_join(self) -> bool:
        """Whether what comes may wait while the client gets what lies before, which then has an end.

        The newest rows wait for as long as they have to; every row does only where nothing lies before. Not where the
        newest rows come as they are then, nor behind a place that another server has told and this one has not reached.
        """
        wanted = self.wanted
        if wanted.snapshot and not self._has_tail:
            return False
        is_now = wanted.position is None and not wanted.snapshot
        return is_now or (wanted.interval_s > 0 and self._is_reached(self._begin))

    def _join(self) -> None:
        """Be told of what comes from now on."""
        self._attached = True
        self._joined, self._since = dict(self._feed.positions), self._feed.view.change
        wanted = self.wanted
        if wanted.interval_s:
            self._group = self._feed.attach_conflated(wanted.shape, wanted.interval_s, self)
        else:
            self._feed.attach(wanted.shape, self)

    async def _until_now(self) -> AsyncGenerator[Frame, None]:
        """What the log has before what comes next; nothing where the feed keeps the newest rows that are wanted."""
        if self.wanted.snapshot and not self._has_tail:
            return
        position = dict(self._begin)
        if self._has_tail:
            rows = await self._tail(position)
            for frame in self._newest_frames(rows, position_text(position)):
                yield frame
        async for frame in self._missed(position):
            yield frame

    def _kept(self) -> Iterator[Frame]:
        """The newest rows that the feed keeps, where they are wanted."""
        if self.wanted.snapshot and not self._has_tail:
            view, shape = self._feed.view, self.wanted.shape
            rows = selected(self.wanted.topic, view.batch(view.entries(shape.keys)), shape)
            yield from self._newest_frames(rows, self._feed.position_text)

    def _newest_frames(self, rows: pa.RecordBatch, position: str) -> Iterator[Frame]:
        """The newest rows: only who has all of them goes on from the position, others begin anew."""
        *parts, last = [*pieces(rows)] or [rows]
        topic, arrow = self.wanted.topic, self.wanted.shape.arrow
        for part in parts:
            yield rows_frame(topic, part, LATEST, arrow=arrow)
        yield rows_frame(topic, last, position, arrow=arrow)

    async def _tail(self, position: dict[int, Next]) -> pa.RecordBatch:
        """The newest rows from a position to where the feed is, which the position then says."""
        newest = LatestView(self.wanted.topic)
        while self._differs(position):
            for partition in self._behind(position):
                async for found in self._read(partition, position):
                    self._take_in(newest, found)
            await self._caught_up(position)
        return newest.batch(Changes(newest, None).entries(0))

    async def _missed(self, position: dict[int, Next]) -> AsyncGenerator[Frame, None]:
        """What lies between a position and what comes next, from the log: every row, or the newest ones so often.

        It ends where the client has joined, or with the feed at exactly the position reached, without waiting in
        between: whoever joins then misses nothing and gets nothing twice.
        """
        topic, shape, every_s = self.wanted.topic, self.wanted.shape, self.wanted.interval_s
        newest = LatestView(topic)
        changes = Changes(newest, None)
        sent, sent_s = 0, 0.0
        loop = asyncio.get_running_loop()
        while self._differs(position) or newest.change > sent:
            for partition in self._behind(position):
                async for found in self._read(partition, position):
                    if every_s:
                        self._take_in(newest, found)
                        continue
                    at = dict(position)
                    for frame in await asyncio.to_thread(frames_of, topic, found, at, shape):
                        yield frame
            due = not self._behind(position) or loop.time() - sent_s >= every_s
            if newest.change > sent and due:
                rows = newest.batch(changes.entries(sent))
                sent, sent_s = newest.change, loop.time()
                yield rows_frame(topic, rows, position_text(position), arrow=shape.arrow)
            await self._caught_up(position)

    def _take_in(self, newest: LatestView, found: Rows) -> None:
        topic = self.wanted.topic
        rows = selected(topic, found.batch, self.wanted.shape)
        if rows.num_rows:
            newest.apply(newest_rows(topic, rows))

    async def _caught_up(self, position: dict[int, Next]) -> None:
        """Wait for the feed where the log has what it has not brought yet."""
        if self._differs(position) and not self._behind(position):
            await self._feed.moved()

    @property
    def _goal(self) -> dict[int, int]:
        """Up to where the log is to be read, by partition."""
        return self._feed.positions if self._joined is None else self._joined

    def _behind(self, position: dict[int, Next]) -> list[int]:
        return [partition for partition, at in self._goal.items() if position[partition] < (at, 0)]

    def _differs(self, position: dict[int, Next]) -> bool:
        return any(position[partition] != (at, 0) for partition, at in self._goal.items())

    def _is_reached(self, position: dict[int, Next]) -> bool:
        return all(position[partition] <= (at, 0) for partition, at in self._goal.items())

    async def _read(self, partition: int, position: dict[int, Next]) -> AsyncGenerator[Rows, None]:
        """One read of a partition, record by record; the position is behind each when it is given."""
        topic = self.wanted.topic
        offset, row = position[partition]
        end = None if self._joined is None else self._joined[partition]
        try:
            chunk = await asyncio.to_thread(
                self._log.read, topic.name, partition, offset, max_bytes=_READ_BYTES
            )
        except TruncatedError as error:
            raise StreamEndError(
                "trimmed",
                f"partition {partition} has no offset {offset} any more; begin anew, older rows are in ClickHouse",
            ) from error
        for record in chunk.records:
            if end is not None and record.offset >= end:
                break
            first = row if record.offset == offset else 0
            batch = await asyncio.to_thread(_batch, topic, record, first)
            position[partition] = (record.offset + 1, 0)
            yield Rows(partition, record.offset, record.offset + 1, first, batch)
        after = chunk.next_offset
        position[partition] = (after if end is None else min(after, end), 0)


def _batch(topic: Topic, record: Record, first: int) -> pa.RecordBatch:
    """A record's rows from one on; none of a record of something else, such as watermark rows."""
    return decode_rows(topic, record).slice(first) if is_rows(record) else topic.empty()
