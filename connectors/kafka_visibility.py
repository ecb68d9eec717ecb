"""The bounds of a partition, with what this process appended seen by its own reads.

Kafka acknowledges a commit before its markers are in the partitions: for a millisecond or two after it,
readers do not see the records yet.
"""

import threading
import time
from collections.abc import Sequence

from connectors.kafka_scout import Scout
from connectors.log import NewRecord

# Markers come within milliseconds. Longer waits mean another writer's open transaction: then the end
# is where that one begins, whatever we appended behind it.
_MARKERS_TIMEOUT_S = 1.0
_LOOK_S = 0.0005


class VisibleBounds:
    """Bounds of partitions, and up to where this process knows that there is something.

    Parameters
    ----------
    scout : Scout
        Asks the broker; sees committed records only.
    """

    def __init__(self, scout: Scout) -> None:
        self._scout = scout
        self._lock = threading.Lock()
        self._ends: dict[tuple[str, int], int] = {}
        self._appended: dict[tuple[str, int], int] = {}

    def note(self, records: Sequence[NewRecord], offsets: Sequence[int]) -> None:
        """Take in that records were appended or committed at these offsets."""
        with self._lock:
            for record, offset in zip(records, offsets, strict=True):
                self._appended[record.topic, record.partition] = offset

    def known(self, topic: str, partition: int) -> int:
        """Offset up to where this process was told that there are records or markers."""
        where = topic, partition
        return max(self._ends.get(where, 0), self._appended.get(where, -1) + 1)

    def of(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset kept, and the offset that follows the last visible record or marker."""
        where = topic, partition
        start, end = self._scout.bounds(topic, partition)
        appended = self._appended.get(where, -1)
        deadline = time.monotonic() + _MARKERS_TIMEOUT_S
        while end <= appended and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
            start, end = self._scout.bounds(topic, partition)
        with self._lock:
            self._ends[where] = end
            if self._appended.get(where) == appended:
                del self._appended[where]
        return start, end

    def await_visible(self, topic: str, partition: int) -> None:
        """Wait until everyone sees what this process appended; for a second at most, also where brokers are away."""
        appended = self._appended.get((topic, partition), -1)
        deadline = time.monotonic() + _MARKERS_TIMEOUT_S
        while (left_s := deadline - time.monotonic()) > 0:
            end = self._scout.glimpse(topic, partition, left_s)
            if end is None or end > appended:
                return
            time.sleep(_LOOK_S)

    def forget(self, topic: str, partition: int) -> None:
        """Forget a partition that was deleted."""
        with self._lock:
            self._ends.pop((topic, partition), None)
            self._appended.pop((topic, partition), None)
