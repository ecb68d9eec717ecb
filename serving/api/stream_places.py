"""How many streams a user may have open at once: each costs memory, and time whenever its topic moves."""

from collections import Counter

from connectors.metrics import API_STREAMS, API_STREAMS_REFUSED
from serving.api.problems import ApiError


class StreamPlaces:
    """Counts the open streams of every user in this process, by session and by key alike.

    Parameters
    ----------
    most : int
        Of a user; a WebSocket is one by itself, and each stream on it another.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    def take(self, user: str) -> None:
        """Take a place, until it is given to `leave`; `ApiError` 429 where none is left."""
        if self._taken[user] >= self._most:
            API_STREAMS_REFUSED.inc()
            raise ApiError(
                429,
                "streams",
                f"{user} has {self._most} streams and WebSockets open, and no more are allowed (setting "
                "api_streams): end some, or ask for several keys in one",
            )
        self._taken[user] += 1
        API_STREAMS.inc()

    def leave(self, user: str) -> None:
        """Give a place back."""
        self._taken[user] -= 1
        if not self._taken[user]:
            del self._taken[user]
        API_STREAMS.dec()
