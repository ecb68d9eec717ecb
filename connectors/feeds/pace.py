"""The one door to the wall clock of feeds and simulator, and the pace at which event time passes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

# The shortest nap: below it, commits of a few rows each would cost more than they bring.
_TICK_NS = 10_000_000
# The longest nap, so that an interrupt is answered.
_NAP_NS = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """A clock and a way to sleep; tests give their own.

    Parameters
    ----------
    now_ns : callable
        Wall time, ns since 1970 UTC.
    sleep : callable
        Waits so many seconds.
    """

    now_ns: Callable[[], int] = time.time_ns
    sleep: Callable[[float], None] = time.sleep


class Pace:
    """Event time that passes at a multiple of wall time, from the first call on.

    Parameters
    ----------
    clock : Clock
        The wall clock.
    speed : float
        Seconds of event time a second.
    first_ns : int
        Event time at the start.
    """

    def __init__(self, clock: Clock, speed: float, first_ns: int) -> None:
        self._clock = clock
        self._speed = speed
        self._first_ns = first_ns
        self._started_ns = clock.now_ns()

    def due_ns(self) -> int:
        """The event time that is reached now."""
        passed = self._clock.now_ns() - self._started_ns
        return self._first_ns + int(passed * self._speed)

    def nap(self, until_ns: int) -> None:
        """Sleep towards an event time: at least a tick, at most half a second."""
        wait_ns = (until_ns - self.due_ns()) / self._speed
        self._clock.sleep(min(max(wait_ns, _TICK_NS), _NAP_NS) / 1e9)
