"""What is to happen at a market time to come: first in time first, then first noted."""

from heapq import heappop, heappush
from typing import Any


class Agenda:
    """Things by time.

    Parameters
    ----------
    saved : list or None
        What `saved` gave.
    """

    def __init__(self, saved: list[Any] | None = None) -> None:
        self._made: int = saved[0] if saved else 0
        self._entries: list[tuple[int, int, str, str]] = [
            (time, made, what, name) for time, made, what, name in (saved[1] if saved else ())
        ]

    @property
    def next_ns(self) -> int | None:
        """When the next thing is due; None if there is nothing."""
        return self._entries[0][0] if self._entries else None

    def note(self, ts_ns: int, what: str, name: str) -> None:
        """Something is to happen to what has a name."""
        self._made += 1
        heappush(self._entries, (ts_ns, self._made, what, name))

    def take(self) -> tuple[str, str]:
        """The next thing, and what it is to happen to."""
        _, _, what, name = heappop(self._entries)
        return what, name

    def saved(self) -> list[Any]:
        """As JSON values."""
        return [self._made, sorted(self._entries)]
