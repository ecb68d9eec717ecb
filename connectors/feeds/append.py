"""Rows into log records: by partition, in records of a few thousand rows, with watermark rows between.

A key's watermark rows go to every raw market topic: at the end of each session window in which it had rows,
when the stream has passed that, and at the feed's end. A live source ends no session that is not over: the
program `clock` tells its time on.
"""

from dataclasses import dataclass, field
from math import ceil

import numpy as np
import pyarrow as pa

from connectors.feeds.pace import Clock
from connectors.log import Headers, Log, NewRecord
from connectors.records import (
    Partitioner,
    event_times,
    key_column,
    record_pieces,
    rows_record,
    watermarks_batch,
    watermarks_record,
)
from schemas.arrays import Int64s
from schemas.codec import HEADER_LIVE, HEADER_SOURCE
from schemas.faults import DEAD_LETTER
from schemas.field import TIMESTAMP
from schemas.registry import market_topics, raw_topics
from schemas.sessions import days_behind, session_starts
from schemas.topic import Topic

WALL = "wall"
EVENT = "event"


@dataclass(kw_only=True)
class Appended:
    """Records that wait for a commit, and what they say of each key."""

    records: list[NewRecord] = field(default_factory=list)
    rows: int = 0
    keys: dict[str, dict[str, int]] = field(default_factory=dict)
    watermarks: dict[str, int] = field(default_factory=dict)


class Appender:
    """Makes the records of a stream whose time does not go backwards.

    Parameters
    ----------
    log : Log
        For the partition counts of its topics.
    calendar : str
        Whose sessions end with watermark rows.
    ts_recv : str
        ``wall`` (when the rows are appended) or ``event`` (their event time).
    live : bool
        Whether the source is live: its records say so.
    source : str
        Name of the live source, which its records say too; empty where there is one only.
    batch_rows : int
        Most rows of a record.
    clock : Clock
        Tells the wall time.
    end_ns : int or None
        No watermark goes beyond: later rows may be fed another time.
    """

    def __init__(
        self,
        log: Log,
        *,
        calendar: str,
        ts_recv: str,
        live: bool,
        source: str = "",
        batch_rows: int,
        clock: Clock,
        end_ns: int | None = None,
    ) -> None:
        if ts_recv not in (WALL, EVENT):
            raise ValueError(f"ts_recv {ts_recv!r}: wall or event was needed")
        configs = log.topics()
        topics = [*raw_topics(), DEAD_LETTER]
        self._partitioners = {
            topic.name: Partitioner(configs[topic.name].partitions) for topic in topics
        }
        known = session_starts(calendar)
        # Some calendars are known up to this year only; what is fed behind that must be closed too.
        self._starts = np.concatenate([known, days_behind(known)])
        self._ts_recv = ts_recv
        self._live = live
        self._headers: Headers = ((HEADER_LIVE, b"1"),) if live else ()
        if live and source:
            self._headers += ((HEADER_SOURCE, source.encode()),)
        self._batch_rows = batch_rows
        self._clock = clock
        self._end_ns = end_ns
        self._ends_ns: dict[str, int] = {}
        self.pending = Appended()

    def go_on(self, open_keys: dict[str, int]) -> None:
        """Take over sessions that an earlier copy of this feed left open: key to its latest event time."""
        for key, last_ns in open_keys.items():
            self._ends_ns[key] = self._window_end(self._window(last_ns))

    def add(self, groups: list[tuple[Topic, pa.RecordBatch, Int64s]]) -> None:
        """Rows of several topics over one stretch of time, each group in order of ``times``.

        Parameters
        ----------
        groups : list of (Topic, pyarrow.RecordBatch, numpy.ndarray of int64)
            Topic, rows, and the time of the stream at each row, ns since 1970 UTC.
        """
        if not groups:
            return
        first = self._window(min(int(times[0]) for _, _, times in groups))
        last = self._window(max(int(times[-1]) for _, _, times in groups))
        for window in range(first, last + 1):
            self._close_until(int(self._starts[max(window, 0)]))
            for topic, batch, times in groups:
                # What lies before the calendar's first session or behind its last belongs to that.
                low = 0 if window == first else np.searchsorted(times, self._starts[window])
                high = len(times)
                if window < last:
                    high = int(np.searchsorted(times, self._starts[window + 1]))
                if high > low:
                    self._add_rows(topic, batch.slice(low, high - low), window)

    def dead_letters(self, faults: list[tuple[str, int, str, bytes | None]]) -> None:
        """Lines that were no rows: file, line number (from 1), reason, text (None: too large)."""
        if not faults:
            return
        files, lines, reasons, texts = zip(*faults, strict=True)
        batch = DEAD_LETTER.batch(
            {
                "source_topic": pa.array(files),
                "ts_event": self._now(len(files)),
                "source_offset": pa.array(lines),
                "reason": pa.array(reasons),
                "payload": pa.array(texts, pa.binary()),
            }
        )
        self._records(DEAD_LETTER, batch, ())

    def beside(self, topic: Topic, batch: pa.RecordBatch) -> None:
        """Rows that are no market events, such as feed events: no session is opened or closed by them."""
        if batch.num_rows:
            self._records(topic, batch, ())

    def finish(self, broken_keys: set[str]) -> None:
        """Watermark rows for the keys whose last session is over; a live source's is not.

        Parameters
        ----------
        broken_keys : set of str
            Keys whose file broke off: more rows of their session may be fed from a whole file.
        """
        if self._live:
            return
        for key in broken_keys:
            self._ends_ns.pop(key, None)
        self._close_until(np.iinfo(np.int64).max)

    def take(self) -> Appended:
        """What waits for a commit; from then on nothing does."""
        taken, self.pending = self.pending, Appended()
        return taken

    def _add_rows(self, topic: Topic, batch: pa.RecordBatch, window: int) -> None:
        if topic.watermarked:
            self._note_keys(topic, batch, self._window_end(window))
        if self._ts_recv == WALL:
            at = topic.schema.get_field_index("ts_recv")
            batch = batch.set_column(at, topic.schema.field(at), self._now(batch.num_rows))
        self.pending.rows += batch.num_rows
        self._records(topic, batch, self._headers)

    def _records(self, topic: Topic, batch: pa.RecordBatch, headers: Headers) -> None:
        keys = key_column(topic, batch)
        for partition, rows in self._partitioners[topic.name].split(keys, batch):
            # Records of equal length, rather than full ones and a crumb.
            size = ceil(rows.num_rows / ceil(rows.num_rows / self._batch_rows))
            for at in range(0, rows.num_rows, size):
                # Rows of megabytes each are more records.
                self.pending.records += [
                    rows_record(topic, partition, piece, headers=headers)
                    for piece in record_pieces(rows.slice(at, size))
                ]

    def _note_keys(self, topic: Topic, batch: pa.RecordBatch, end_ns: int) -> None:
        """Latest event time of each key, and that its session ends at ``end_ns``."""
        column = key_column(topic, batch)
        codes = column.indices.to_numpy(zero_copy_only=False)
        names = column.dictionary.to_pylist()
        none = np.iinfo(np.int64).min
        latest = np.full(len(names), none)
        np.maximum.at(latest, codes, event_times(topic, batch))
        noted = self.pending.keys.setdefault(topic.name, {})
        for code in np.flatnonzero(latest > none).tolist():
            key, time_ns = names[code], int(latest[code])
            noted[key] = max(time_ns, noted.get(key, time_ns))
            self._ends_ns[key] = end_ns

    def _close_until(self, time_ns: int) -> None:
        """Watermark rows for the keys whose session ends at or before a time."""
        over = {key: end for key, end in self._ends_ns.items() if end <= time_ns}
        if not over:
            return
        for key in over:
            del self._ends_ns[key]
        if self._end_ns is not None:
            over = {key: min(end, self._end_ns) for key, end in over.items()}
        self.pending.watermarks.update(over)
        for topic in market_topics():
            partitioner = self._partitioners[topic.name]
            by_partition: dict[int, list[str]] = {}
            for key in sorted(over):
                by_partition.setdefault(partitioner.of(key), []).append(key)
            for partition, keys in sorted(by_partition.items()):
                batch = watermarks_batch(keys, np.array([over[key] for key in keys], np.int64))
                self.pending.records.append(
                    watermarks_record(topic.name, partition, batch, headers=self._headers)
                )

    def _window(self, time_ns: int) -> int:
        return int(np.searchsorted(self._starts, time_ns, side="right")) - 1

    def _window_end(self, window: int) -> int:
        return int(self._starts[min(window + 1, len(self._starts) - 1)])

    def _now(self, rows: int) -> pa.Array:
        return pa.array(np.full(rows, self._clock.now_ns())).view(TIMESTAMP)
