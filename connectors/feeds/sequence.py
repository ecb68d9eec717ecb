"""Sequence numbers of a stream: what is missing, what comes twice, what comes late."""

from collections import deque
from dataclasses import dataclass
from enum import Enum

# Gaps that are remembered, so that a number which comes late is told from one that comes twice. A gap older than so
# many others is not filled any more: what comes then counts as a duplicate and is told as one.
_GAPS = 1024


class Found(Enum):
    """What a sequence number turned out to be."""

    NEXT = "next"
    AHEAD = "ahead"
    LATE = "late"
    TWICE = "twice"


@dataclass(slots=True)
class _Gap:
    """Missing numbers, first and last."""

    first: int
    last: int


class Numbers:
    """Follows one stream's numbers, each one more than the last.

    Examples
    --------
    >>> numbers = Numbers()
    >>> [numbers.take(number).value for number in (7, 8, 10, 10, 9, 9)]
    ['next', 'next', 'ahead', 'twice', 'late', 'twice']
    """

    __slots__ = ("_gaps", "_next")

    def __init__(self) -> None:
        self._next: int | None = None
        self._gaps: deque[_Gap] = deque(maxlen=_GAPS)

    @property
    def expected(self) -> int:
        """The number that is to come; 0 before the first."""
        return self._next or 0

    def take(self, number: int) -> Found:
        """Say what a number is, and go on behind it."""
        if self._next is None or number == self._next:
            self._next = number + 1
            return Found.NEXT
        if number > self._next:
            self._gaps.append(_Gap(self._next, number - 1))
            self._next = number + 1
            return Found.AHEAD
        return Found.LATE if self._fill(number) else Found.TWICE

    def go_to(self, number: int) -> None:
        """The next number is this one: the sender leaves out what lies before it."""
        self._next = number

    def _fill(self, number: int) -> bool:
        for at, gap in enumerate(self._gaps):
            if gap.first <= number <= gap.last:
                rest = [
                    part
                    for part in (_Gap(gap.first, number - 1), _Gap(number + 1, gap.last))
                    if part.first <= part.last
                ]
                if len(rest) == 2 and len(self._gaps) == _GAPS:
                    # No room for both halves: the newer one is likelier to be filled.
                    rest = rest[1:]
                del self._gaps[at]
                for part in reversed(rest):
                    self._gaps.insert(at, part)
                return True
        return False
