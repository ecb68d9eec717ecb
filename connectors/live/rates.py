"""Limits on how often something may be done, as venues state them: so many within so long."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most ``count`` within any ``seconds``."""

    count: int
    seconds: float


class RateLimit:
    """Remembers when something was done, and says how long to wait until it may be done again.

    Parameters
    ----------
    rate : Rate
        What the venue allows.

    Examples
    --------
    >>> limit = RateLimit(Rate(count=2, seconds=1.0))
    >>> [limit.take(at) for at in (0.0, 0.25, 0.5)]
    [0.0, 0.0, 0.5]
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._done: deque[float] = deque(maxlen=rate.count)

    def take(self, now_s: float, cost: int = 1) -> float:
        """Reserve the next moment at which it may be done; the seconds until then.

        Parameters
        ----------
        now_s : float
            A clock that does not go backwards, seconds.
        cost : int
            How many of the count it takes; at most all of them.
        """
        at_s = now_s
        for _ in range(min(cost, self._rate.count)):
            if len(self._done) == self._rate.count:
                at_s = max(at_s, self._done[0] + self._rate.seconds)
            self._done.append(at_s)
        return at_s - now_s
