"""How long to wait before the next attempt, and when to give up: exponential, with a seeded jitter."""

import random
import time
from collections.abc import Callable


class Backoff:
    """Waits that double from ``first_s`` up to ``most_s``, each between half of that and all of it.

    The jitter keeps many clients from coming back at once; half of the wait is kept, so that what is
    down is never hammered.

    Parameters
    ----------
    first_s, most_s : float
        The first wait and the longest, in seconds.
    seed : int
        Same seed, same waits.
    give_up_s : float or None
        For how long what fails is tried again, from its first failure on; None for ever.
    clock : callable
        Seconds that only go forward; a test's own.

    Examples
    --------
    >>> waits = Backoff(first_s=1, most_s=8, seed=7)
    >>> [2**attempt / 2 <= waits.next_s() <= 2**attempt for attempt in range(4)]
    [True, True, True, True]
    """

    def __init__(
        self,
        *,
        first_s: float,
        most_s: float,
        seed: int,
        give_up_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._give_up_s = give_up_s
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - spreads attempts, keeps no secret
        self._begun_s: float | None = None
        self.attempts = 0

    def next_s(self) -> float:
        """Seconds to wait before the next attempt; never beyond the time of giving up."""
        if self._begun_s is None:
            self._begun_s = self._clock()
        # The exponent is bounded: 2.0**1024 would be no number.
        whole = min(self._most_s, self._first_s * 2.0 ** min(self.attempts, 64))
        self.attempts += 1
        wait_s = whole * self._random.uniform(0.5, 1.0)
        if self._give_up_s is None:
            return wait_s
        return min(wait_s, max(0.0, self._give_up_s - self.failing_s))

    @property
    def failing_s(self) -> float:
        """Seconds since the first failure; 0 while nothing fails."""
        return 0.0 if self._begun_s is None else self._clock() - self._begun_s

    @property
    def is_over(self) -> bool:
        """Whether it is time to give up."""
        if self._begun_s is None or self._give_up_s is None:
            return self._give_up_s == 0
        return self.failing_s >= self._give_up_s

    def reset(self) -> None:
        """Begin again with the shortest wait: an attempt has held."""
        self.attempts = 0
        self._begun_s = None
