"""The one reader of the log: follows topics in a thread of its own and hands over rows, decoded, in log order."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

import pyarrow as pa
import structlog

from connectors.log import Log, LogError, Record, TruncatedError
from connectors.records import decode_each, decode_rows, is_rows
from schemas.topic import Topic
from serving.latest.parts import Part, newest_rows

# Of one topic at a time, so that a flood in one does not hold up the others for long.
_READ_BYTES = 1 << 20
# How long it takes until a topic that is newly followed is read.
_WAIT_S = 0.05
_RETRY_S = 1.0
# Rounds are no closer than this: one takes as long for ten records as for one, and whoever answers requests shares
# the interpreter with it.
_ROUND_S = 0.01

_logger = structlog.get_logger("hub")


@dataclass(frozen=True, slots=True)
class Arrived:
    """Rows of one record, and the newest of each group of them where they are kept."""

    topic: Topic
    partition: int
    offset: int
    next_offset: int
    batch: pa.RecordBatch
    newest: Part | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Rows that were trimmed before they could be read: the partition goes on at an offset."""

    topic: Topic
    partition: int
    next_offset: int


class TopicReader:
    """Follows topics from positions on.

    Parameters
    ----------
    log : Log
        Which.
    deliver : callable
        Takes what came of one read, in the reader's thread; the reader waits for it.
    give_up : callable
        Told, in the reader's thread, of a topic with a record that cannot be taken in, and why: it is not read on.
    """

    def __init__(
        self,
        log: Log,
        deliver: Callable[[list[Arrived | Lost]], None],
        give_up: Callable[[Topic, str], None],
    ) -> None:
        self._log = log
        self._deliver = deliver
        self._give_up = give_up
        self._lock = threading.Lock()
        self._topics: dict[str, tuple[Topic, bool]] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topic-reader", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def follow(self, topic: Topic, positions: dict[int, int], *, newest: bool) -> None:
        """Read a topic from offsets of its partitions on.

        Parameters
        ----------
        topic : Topic
            Which; it is not followed yet.
        positions : dict of int to int
            First offset to read, by partition.
        newest : bool
            Whether the newest row of each group is found too.
        """
        with self._lock:
            self._topics[topic.name] = (topic, newest)
            for partition, offset in positions.items():
                self._positions[topic.name, partition] = offset

    def unfollow(self, topic: Topic) -> None:
        """Read a topic no more; what is on its way still comes."""
        with self._lock:
            self._topics.pop(topic.name, None)
            for name, partition in list(self._positions):
                if name == topic.name:
                    del self._positions[name, partition]

    def _run(self) -> None:
        while not self._stop.is_set():
            begun_s = monotonic()
            try:
                if self._round():
                    self._stop.wait(max(0.0, begun_s + _ROUND_S - monotonic()))
                elif self._positions:
                    with self._lock:
                        positions = dict(self._positions)
                    self._log.wait(positions, _WAIT_S)
                else:
                    self._stop.wait(_WAIT_S)
            except LogError as error:
                _logger.exception("log unreadable", error=str(error))
                self._stop.wait(_RETRY_S)

    def _round(self) -> bool:
        """Read once of each partition that has something new; whether any had."""
        with self._lock:
            positions = dict(self._positions)
        moved = False
        for name, partition in self._log.news(positions):
            if self._stop.is_set():
                break
            try:
                moved = self._read(name, partition, positions[name, partition]) or moved
            except LogError:
                raise
            except Exception as error:
                # It would be so each time; the other topics go on.
                _logger.exception("topic unreadable", topic=name, partition=partition)
                with self._lock:
                    followed = self._topics.get(name)
                if followed is not None:
                    self.unfollow(followed[0])
                    self._give_up(followed[0], str(error))
        return moved

    def _read(self, name: str, partition: int, offset: int) -> bool:
        with self._lock:
            if name not in self._topics or self._positions.get((name, partition)) != offset:
                return False
            topic, newest = self._topics[name]
        came: list[Arrived | Lost] = []
        try:
            chunk = self._log.read(name, partition, offset, max_bytes=_READ_BYTES)
        except TruncatedError:
            after = self._log.start(name, partition)
            came.append(Lost(topic, partition, after))
        else:
            after = chunk.next_offset
            records = [record for record in chunk.records if is_rows(record)]
            for record, batch in zip(records, _decoded(topic, records, kept=newest), strict=True):
                if batch.num_rows:
                    part = newest_rows(topic, batch) if newest else None
                    came.append(
                        Arrived(topic, partition, record.offset, record.offset + 1, batch, part)
                    )
            if after == offset:
                # `Log.news` may name what has none.
                return False
            if not came or came[-1].next_offset < after:
                # Watermark rows and Kafka's markers move the position and bring nothing.
                came.append(Arrived(topic, partition, after - 1, after, topic.empty(), None))
        with self._lock:
            if self._positions.get((name, partition)) == offset:
                self._positions[name, partition] = after
        self._deliver(came)
        return True


def _decoded(topic: Topic, records: list[Record], *, kept: bool) -> Iterable[pa.RecordBatch]:
    if kept:
        # Of what is kept, one row would keep the memory of all records that were decoded with it.
        return (decode_rows(topic, record) for record in records)
    return decode_each(topic, records)
