"""Watches for transactions that somebody began and does not end: what lies behind one is read by nobody.

A foreign producer that hangs, or whose timeout is hours, stops an inbox at its first record, and a partition that ends
there looks as if nothing came.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from connectors.kafka_ends import Ends, Place
from connectors.metrics import LOG_UNENDED

# Commits take milliseconds, and a producer that dies is found out by the brokers after a minute, by default.
TOLD_AFTER_S = 30.0
_LOOK_EVERY_S = 10.0
_ANSWER_S = 5.0

log_line = structlog.get_logger(__name__)


@dataclass
class _Stop:
    """Where a partition stands since a moment; whether it was told."""

    end: int
    since_s: float
    is_told: bool = False


def unended(ends: Ends, places: Iterable[Place], timeout_s: float) -> dict[Place, tuple[int, int]]:
    """Partitions with a transaction that has not ended: where its first record is, and how many offsets are from there on.

    Those of which no broker says it within the time are left out.
    """
    places = list(places)
    committed = ends.of(places, timeout_s)
    written = ends.of(places, timeout_s, committed_only=False)
    found = {}
    for at in places:
        end, last = committed[at], written[at]
        if end is not None and last is not None and last > end:
            found[at] = (end, last - end)
    return found


class UnendedWatch:
    """Tells of the partitions that a program waits for and that stand before such a transaction.

    Parameters
    ----------
    ends : Ends
        Asks the brokers.
    """

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._lock = threading.Lock()
        self._places: set[Place] = set()
        self._stops: dict[Place, _Stop] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def waited_for(self, positions: Mapping[Place, int]) -> None:
        """Take in what a program waits for; returns at once."""
        if positions.keys() <= self._places:
            return
        with self._lock:
            self._places = self._places | positions.keys()
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="kafka-unended", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(3 * _ANSWER_S)

    def _look(self, now_s: float) -> None:
        found = unended(self._ends, self._places, _ANSWER_S)
        for at, (end, offsets) in found.items():
            known = self._stops.get(at)
            if known is None or known.end != end:
                # Another transaction than the one before: partitions that get on are well.
                self._gone(at, known)
                known = self._stops[at] = _Stop(end, now_s)
            if now_s - known.since_s >= TOLD_AFTER_S:
                LOG_UNENDED.labels(*at).set(offsets)
                if not known.is_told:
                    known.is_told = True
                    log_line.warning(
                        "transaction_not_ended",
                        topic=at[0],
                        partition=at[1],
                        offset=end,
                        offsets_behind=offsets,
                        for_s=round(now_s - known.since_s),
                        advice="nobody reads what lies behind it: find its producer; see docs/kafka.md",
                    )
        for at in self._stops.keys() - found.keys():
            self._gone(at, self._stops.pop(at))

    def _gone(self, at: Place, stop: _Stop | None) -> None:
        if stop is not None and stop.is_told:
            LOG_UNENDED.remove(*at)
            log_line.info("transaction_ended", topic=at[0], partition=at[1], offset=stop.end)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            self._look(time.monotonic())
