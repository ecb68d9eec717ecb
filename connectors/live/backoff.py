"""How long to wait before the next attempt: exponential, with a seeded jitter."""

import random


class Backoff:
    """Waits that double from ``first_s`` up to ``most_s``, each between half of that and all of it.

    The jitter keeps many clients from coming back at once; half of the wait is kept, so that a venue
    that is down is never hammered.

    Parameters
    ----------
    first_s, most_s : float
        The first wait and the longest, in seconds.
    seed : int
        Same seed, same waits.

    Examples
    --------
    >>> waits = Backoff(first_s=1, most_s=8, seed=7)
    >>> [2**attempt / 2 <= waits.next_s() <= 2**attempt for attempt in range(4)]
    [True, True, True, True]
    """

    def __init__(self, *, first_s: float, most_s: float, seed: int) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._random = random.Random(seed)  # noqa: S311 - spreads attempts, keeps no secret
        self._attempts = 0

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        # The exponent is bounded: 2.0**1024 would be no number.
        whole = min(self._most_s, self._first_s * 2.0 ** min(self._attempts, 64))
        self._attempts += 1
        return whole * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the shortest wait: an attempt has held."""
        self._attempts = 0
