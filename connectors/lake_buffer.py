"""What the lander has read and not yet written into the lake: bounded by rows, bytes and age."""

import time
from collections import defaultdict

from connectors.landing_portion import Portion, merged

# What may be in memory before it is written: of one topic (a good Parquet file), and in all.
TOPIC_ROWS = 400_000
TOPIC_BYTES = 64 << 20
ALL_BYTES = 96 << 20
# Small tables are joined by this many: each costs kilobytes besides its rows.
_JOIN = 64
_JOINED_ROWS = 50_000


class _TopicBuffer:
    def __init__(self) -> None:
        self.rows = 0
        self.size_bytes = 0
        self._large: list[Portion] = []
        self._small: list[Portion] = []

    def add(self, portion: Portion) -> None:
        self.rows += portion.row_count
        self.size_bytes += portion.size_bytes
        self._small.append(portion)
        if len(self._small) >= _JOIN or portion.row_count >= _JOINED_ROWS:
            self._large.append(merged(self._small))
            self._small = []

    def all(self) -> Portion:
        return merged(self._large + self._small)


class LakeBuffer:
    """Portions by topic, until they are due.

    Parameters
    ----------
    flush_ns : int
        How long the oldest of them may wait.
    """

    def __init__(self, flush_ns: int) -> None:
        self._flush_ns = flush_ns
        self._topics: defaultdict[str, _TopicBuffer] = defaultdict(_TopicBuffer)
        self._since_ns = 0

    def add(self, name: str, portion: Portion) -> None:
        """Keep a portion that follows the one before of the same topic."""
        if not self._topics:
            self._since_ns = time.monotonic_ns()
        self._topics[name].add(portion)

    def is_due(self) -> bool:
        """Whether the buffers should be written: full, or old enough."""
        topics = self._topics.values()
        return bool(topics) and (
            any(one.rows >= TOPIC_ROWS or one.size_bytes >= TOPIC_BYTES for one in topics)
            or sum(one.size_bytes for one in topics) >= ALL_BYTES
            or time.monotonic_ns() - self._since_ns >= self._flush_ns
        )

    def take(self) -> dict[str, Portion]:
        """Everything, by topic; the buffer is empty afterwards."""
        taken = {name: one.all() for name, one in self._topics.items()}
        self._topics.clear()
        return taken
