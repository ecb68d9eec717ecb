"""What is to happen at a market time to come: first in time first, then first noted."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

Due = tuple[int, int]
"""A time, and the number of a note for it."""

NEVER: Due = (1 << 200, 0)
"""Behind all times."""


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

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next_due(self) -> Due:
        """When the next thing is due, and the number of its note; `NEVER` if there is nothing."""
        return self._entries[0][:2] if self._entries else NEVER

    def note(self, ts_ns: int, what: str, name: str) -> None:
        """Something is to happen to what has a name."""
        self.note_as(self.numbers(1), ts_ns, what, name)

    def note_as(self, number: int, ts_ns: int, what: str, name: str) -> None:
        """The same under a number that `numbers` gave."""
        heappush(self._entries, (ts_ns, number, what, name))

    def numbers(self, count: int) -> int:
        """The first of so many numbers of notes, which are kept elsewhere or made later."""
        first = self._made + 1
        self._made += count
        return first

    def take(self) -> tuple[str, str]:
        """The next thing, and what it is to happen to."""
        _, _, what, name = heappop(self._entries)
        return what, name

    def keep(self, is_meant: Callable[[int, str, str], bool]) -> None:
        """Strike out what means nothing any more, going by time, what is to happen, and to what."""
        self._entries = [one for one in self._entries if is_meant(one[0], one[2], one[3])]
        heapify(self._entries)

    def saved(self) -> list[Any]:
        """As JSON values."""
        return [self._made, sorted(self._entries)]
