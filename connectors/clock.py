"""Passes time on for live sources: watermark rows for symbols that have gone quiet.

Only records whose header says ``live`` are looked at; history that is being fed, paused or killed is never
closed by today's date. This is one of the two doors to the real clock; the other is the log's append.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any

import numpy as np

from connectors.control import control_record, control_value
from connectors.crash_points import crash_point
from connectors.log import Log, NewRecord, Record, TopicConfig
from connectors.metrics import CLOCK_ROWS
from connectors.records import (
    Partitioner,
    decode_rows,
    event_times,
    is_rows,
    key_column,
    watermarks_batch,
    watermarks_record,
)
from schemas.arrays import Int64s
from schemas.codec import HEADER_LIVE, HEADER_SOURCE
from schemas.registry import market_topics
from schemas.topic import Topic

CLOCK_TOPIC = "_clock"

_SECOND_NS = 1_000_000_000
# A source silent for an hour is asked once a minute, for a day twice an hour: a feed that has ended must
# not fill the log for ever, and what is still open then are windows of hours and days.
_SILENCE_PER_TICK = 60
# After so long without a row a source is forgotten: a week is longer than any window.
_FORGET_NS = 7 * 86_400 * _SECOND_NS
# How often the state is kept; a restart reads again no more than that.
_KEEP_NS = 60 * _SECOND_NS


@dataclass(kw_only=True)
class _Source:
    """A live source: its newest row, which is not beyond its append, and its keys."""

    largest_ns: int
    appended_ns: int
    ticked_ns: int = 0
    keys: set[str] = field(default_factory=set)

    def time_at(self, now_ns: int) -> int:
        """The source's own time at a wall time: its newest row, and the time since that came."""
        return self.largest_ns + max(0, now_ns - self.appended_ns)

    def due(self, now_ns: int) -> bool:
        """Whether it is time to say again how late it is there."""
        silence = max(0, now_ns - self.appended_ns)
        return _is_over(
            max(_SECOND_NS, silence // _SILENCE_PER_TICK), since_ns=self.ticked_ns, now_ns=now_ns
        )


class Clock:
    """Reads the raw topics and appends watermark rows for live sources.

    Parameters
    ----------
    log : Log
        Where the raw topics are.
    lateness_ns : int
        How far behind its source's newest row a live row may come, beyond the topic's own lateness.
    """

    def __init__(self, log: Log, *, lateness_ns: int = _SECOND_NS) -> None:
        self._log = log
        self._lateness_ns = lateness_ns
        self._topics = {topic.name: topic for topic in market_topics()}
        configs = log.topics()
        log.create_topic(TopicConfig(name=CLOCK_TOPIC, partitions=1))
        self._partitioners = {name: Partitioner(configs[name].partitions) for name in self._topics}
        self._sources: dict[str, _Source] = {}
        # What is known of each key of each topic: its own rows' largest event time, or the last watermark.
        self._reached: dict[str, dict[str, int]] = {name: {} for name in self._topics}
        self._positions: dict[tuple[str, int], int] = {}
        self._kept: dict[tuple[str, int], int] = {}
        self._kept_ns = 0
        self._writer = log.writer("clock")
        self._restore()

    @property
    def positions(self) -> dict[tuple[str, int], int]:
        """Where the clock reads on."""
        return dict(self._positions)

    def read(self) -> int:
        """Read what the log has; the count of records that live sources wrote."""
        live = 0
        for (topic, partition), offset in self._positions.items():
            end = self._log.end(topic, partition)
            at = max(offset, self._log.start(topic, partition))
            while at < end:
                chunk = self._log.read(topic, partition, at)
                live += sum(self._take(self._topics[topic], record) for record in chunk.records)
                at = chunk.next_offset
            self._positions[topic, partition] = at
        return live

    def tick(self, now_ns: int | None = None) -> int:
        """Append the watermark rows that are due.

        Parameters
        ----------
        now_ns : int, optional
            UTC wall time, ns since 1970; by default the machine's.

        Returns
        -------
        int
            Watermark rows appended.
        """
        now_ns = time_ns() if now_ns is None else now_ns
        due = [name for name, source in self._sources.items() if source.due(now_ns)]
        times = self._key_times(due, now_ns)
        records = [record for topic in self._topics.values() for record in self._say(topic, times)]
        rows = sum(count for _, count in records)
        new = [record for record, _ in records]
        keep = (
            _is_over(_KEEP_NS, since_ns=self._kept_ns, now_ns=now_ns)
            and self._kept != self._positions
        )
        if keep:
            new.append(control_record(CLOCK_TOPIC, 0, self._state()))
        if new:
            crash_point("clock: before commit")
            offsets = self._writer.commit(new, self._writer.number + 1)
            CLOCK_ROWS.inc(rows)
            crash_point("clock: committed")
            if keep:
                self._kept_ns, self._kept = now_ns, dict(self._positions)
                self._log.trim(CLOCK_TOPIC, 0, offsets[-1])
        for name in due:
            self._sources[name].ticked_ns = now_ns
            if now_ns - self._sources[name].appended_ns > _FORGET_NS:
                del self._sources[name]
        return rows

    def close(self) -> None:
        """Let the writer go."""
        self._writer.close()

    def _take(self, topic: Topic, record: Record) -> bool:
        if record.header(HEADER_LIVE) != b"1" or not is_rows(record):
            return False
        batch = decode_rows(topic, record)
        if not batch.num_rows:
            return False
        times = event_times(topic, batch)
        name = (record.header(HEADER_SOURCE) or b"").decode()
        # A row may be minutes ahead of its append (one wrong clock, a bar told before its end): that moves its own
        # symbol only, and makes no row of the source's others late.
        newest = min(int(times.max()), record.append_time_ns)
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = _Source(
                largest_ns=newest, appended_ns=record.append_time_ns
            )
        elif newest > source.largest_ns:
            source.largest_ns, source.appended_ns = newest, record.append_time_ns
        reached = self._reached[topic.name]
        for key, largest in _largest(key_column(topic, batch), times):
            source.keys.add(key)
            reached[key] = max(largest - topic.lateness_ns, reached.get(key, 0))
        return True

    def _key_times(self, due: Sequence[str], now_ns: int) -> dict[str, int]:
        """Time of each key of the due sources: where several sources know it, the one furthest behind."""
        times: dict[str, int] = {}
        keys = {key for name in due for key in self._sources[name].keys}
        for source in self._sources.values():
            time = source.time_at(now_ns) - self._lateness_ns
            for key in source.keys & keys:
                times[key] = min(time, times.get(key, time))
        return times

    def _say(self, topic: Topic, times: dict[str, int]) -> Iterator[tuple[NewRecord, int]]:
        """A record of watermark rows a partition, for the keys that are not so far by themselves."""
        reached = self._reached[topic.name]
        by_partition: dict[int, list[str]] = {}
        for key in sorted(times):
            if times[key] - topic.lateness_ns > reached.get(key, 0):
                by_partition.setdefault(self._partitioners[topic.name].of(key), []).append(key)
        for partition, keys in sorted(by_partition.items()):
            said = np.array([times[key] - topic.lateness_ns for key in keys], dtype=np.int64)
            reached.update(zip(keys, said.tolist(), strict=True))
            yield (
                watermarks_record(topic.name, partition, watermarks_batch(keys, said)),
                len(keys),
            )

    def _state(self) -> dict[str, Any]:
        return {
            "positions": [[*where, offset] for where, offset in sorted(self._positions.items())],
            "sources": {
                name: {
                    "largest_ns": source.largest_ns,
                    "appended_ns": source.appended_ns,
                    "keys": sorted(source.keys),
                }
                for name, source in self._sources.items()
            },
        }

    def _restore(self) -> None:
        """Go on where the last kept state ends; without one, at the log's start."""
        for name, partitioner in self._partitioners.items():
            for partition in range(partitioner.partitions):
                self._positions[name, partition] = self._log.start(name, partition)
        record = self._log.last(CLOCK_TOPIC, 0)
        if record is None:
            return
        state = control_value(record)
        for topic, partition, offset in state["positions"]:
            if (topic, partition) in self._positions:
                self._positions[topic, partition] = offset
        for name, source in state["sources"].items():
            self._sources[name] = _Source(**{**source, "keys": set(source["keys"])})


def _is_over(wait_ns: int, *, since_ns: int, now_ns: int) -> bool:
    """Whether so much time has passed since a moment; also where the wall clock was set back before it."""
    return not since_ns <= now_ns < since_ns + wait_ns


def _largest(keys: Any, times: Int64s) -> Iterator[tuple[str, int]]:
    """Each key of a dictionary-encoded column that a row uses, with its largest time."""
    codes = keys.indices.to_numpy(zero_copy_only=False)
    largest = np.full(len(keys.dictionary), np.iinfo(np.int64).min, dtype=np.int64)
    np.maximum.at(largest, codes, times)
    for code in np.unique(codes):
        yield keys.dictionary[int(code)].as_py(), int(largest[code])
