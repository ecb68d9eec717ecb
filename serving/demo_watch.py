"""Watches rows land: how many of each topic, how long after they happened, and whether all are there."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from connectors.control import LANDINGS_TOPIC, control_value
from connectors.landings import CLICKHOUSE, LAKE, landed_positions
from connectors.log import Log
from connectors.records import decode_rows, event_times, is_rows
from connectors.scan import scan_records
from schemas.arrays import Floats, Int64s
from schemas.codec import HEADER_ROWS
from schemas.registry import TOPICS, raw_topics
from serving.topics import reader_states

# Two hundred bins a decade, from a microsecond to a day: a percentile is told to about 1 %, and memory
# is the same however long it runs.
_BIN_EDGES_MS: Floats = np.logspace(-3, 8, 11 * 200 + 1)


@dataclass(kw_only=True)
class Latencies:
    """Rows by latency, for percentiles in bounded memory (to 1 %)."""

    counts: Int64s = field(default_factory=lambda: np.zeros(len(_BIN_EDGES_MS) + 1, np.int64))

    def add(self, latencies_ms: Floats, rows: int = 1) -> None:
        """Count rows of these latencies, each for ``rows`` rows."""
        bins = np.searchsorted(_BIN_EDGES_MS, latencies_ms)
        np.add.at(self.counts, bins, rows)

    def percentile_ms(self, percent: float) -> float | None:
        """The latency that so many percent of the rows do not pass; None without rows."""
        total = int(self.counts.sum())
        if not total:
            return None
        at = int(np.searchsorted(np.cumsum(self.counts), percent / 100 * total))
        return round(float(_BIN_EDGES_MS[min(at, len(_BIN_EDGES_MS) - 1)]), 3)


class Watch:
    """Follows the lander's records and what they speak of.

    Parameters
    ----------
    log : Log
        Which.
    live : bool
        Whether rows happen now, so that latency begins at ``ts_event``; for history it begins at the append.
    """

    def __init__(self, log: Log, *, live: bool) -> None:
        self._log = log
        self._live = live
        self._raw = {topic.name for topic in raw_topics()}
        self._offset = log.end(LANDINGS_TOPIC, 0)
        self.landed = dict.fromkeys(TOPICS, 0)
        self.in_lake = dict.fromkeys(TOPICS, 0)
        self.latencies = Latencies()
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    @property
    def raw_rows(self) -> int:
        """Rows of raw topics that are in ClickHouse."""
        return sum(self.landed[name] for name in self._raw)

    @property
    def seconds(self) -> float:
        """From the first append of a raw row to the last landing, in store or lake."""
        if self.first_ns is None or self.last_ns is None:
            return 0.0
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def rows_per_second(self) -> float:
        """Raw rows over those seconds."""
        return self.raw_rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def records(self) -> int:
        """Count of the lander's records so far: it grows while the lander works."""
        return self._offset

    def read(self) -> None:
        """Take in what has landed since the last call."""
        end = self._log.end(LANDINGS_TOPIC, 0)
        for record in scan_records(self._log, LANDINGS_TOPIC, 0, start=self._offset, end=end):
            value = control_value(record)
            if value["kind"] == "done":
                self._take(value)
        self._offset = end

    def caught_up(self, sink: str = CLICKHOUSE) -> bool:
        """Whether flows have read, and a sink of the lander has, everything that is in the log."""
        if any(reader.lag for reader in reader_states(self._log)):
            return False
        positions = landed_positions(self._log)[sink]
        return all(
            positions.get(name, {}).get(partition, 0) >= self._log.end(name, partition)
            for name, partition in self._partitions()
        )

    def _partitions(self) -> Iterable[tuple[str, int]]:
        for name, config in self._log.topics().items():
            if name in TOPICS:
                yield from ((name, partition) for partition in range(config.partitions))

    def _take(self, done: dict[str, Any]) -> None:
        name, rows = done["topic"], done["rows"]
        if name not in TOPICS:
            # Control topics go to the lake too.
            return
        self.last_ns = max(self.last_ns or 0, done["landed_at"])
        if done["sink"] == LAKE:
            self.in_lake[name] += rows
            return
        self.landed[name] += rows
        if name in self._raw:
            for partition, start, end in done["ranges"]:
                self._measure(name, partition, start, end, done["landed_at"])

    def _measure(self, name: str, partition: int, start: int, end: int, landed_ns: int) -> None:
        for record in scan_records(self._log, name, partition, start=start, end=end):
            if not is_rows(record):
                continue
            appended_ns = record.append_time_ns
            self.first_ns = min(self.first_ns or appended_ns, appended_ns)
            if self._live:
                times = event_times(TOPICS[name], decode_rows(TOPICS[name], record))
                self.latencies.add((landed_ns - times) / 1e6)
            else:
                rows = int(record.header(HEADER_ROWS) or 0)
                self.latencies.add(np.array([(landed_ns - appended_ns) / 1e6]), rows)
