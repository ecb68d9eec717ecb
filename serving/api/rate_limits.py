"""How often somebody may ask: a token bucket a session or key, and one an address for those who only knock."""

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from serving.api.problems import ApiError

# Who has not asked for longest is forgotten: the bucket was full again long before, unless as many keys and
# sessions as this are in use at once.
_BUCKETS_MAX = 10_000
# Of failed sign-ins and of requests without credentials, by address: two a second, some at once.
_KNOCKS_PER_S = 2.0
_KNOCKS_BURST = 30.0


class Buckets:
    """Token buckets by name, bounded in number.

    Parameters
    ----------
    clock : callable
        Seconds that only grow.
    size_max : int
        So many buckets are kept.
    """

    def __init__(
        self, clock: Callable[[], float] = monotonic, size_max: int = _BUCKETS_MAX
    ) -> None:
        self._clock = clock
        self._size_max = size_max
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate: float, burst: float) -> float:
        """Take a token.

        Parameters
        ----------
        name : str
            Of the bucket.
        rate, burst : float
            Tokens that flow in a second, and how many it holds.

        Returns
        -------
        float
            0 where there was one; else the seconds until there will be.
        """
        now = self._clock()
        level, at = self._levels.get(name, (burst, now))
        level = min(burst, level + (now - at) * rate)
        wait_s = 0.0 if level >= 1 else (1 - level) / rate
        self._levels[name] = (level if wait_s else level - 1, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._size_max:
            self._levels.popitem(last=False)
        return wait_s


class RateLimits:
    """The limits of one process.

    Parameters
    ----------
    rate : float
        Requests a second of a session or key, where it has no rate of its own; twice as many at once.
    clock : callable
        Seconds that only grow.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._requests = Buckets(clock)
        self._knocks = Buckets(clock)

    def take(self, via: str, rate: float | None) -> None:
        """Count a request.

        Raises
        ------
        ApiError
            429 with ``Retry-After``, beyond the rate.
        """
        rate = self._rate if rate is None else rate
        wait_s = self._requests.take(via, rate, max(1.0, 2 * rate))
        if wait_s:
            raise too_often(wait_s, f"more than {rate:g} requests a second")

    def take_knock(self, origin: str) -> None:
        """Count a request of somebody unknown; `ApiError` 429 beyond the rate of an address."""
        wait_s = self._knocks.take(origin, _KNOCKS_PER_S, _KNOCKS_BURST)
        if wait_s:
            raise too_often(wait_s, "too many requests from this address that did not say who asks")


def too_often(wait_s: float, why: str) -> ApiError:
    """The error of who asks too often."""
    seconds = math.ceil(wait_s)
    return ApiError(
        429,
        "too-often",
        f"{why}; again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )
