"""Lets a proof outlast retention: what it has counted of a log that was cut meanwhile is no verdict, and is counted again."""

from collections.abc import Callable
from typing import TypeVar

from connectors.control import progress_topic
from connectors.log import Log, LogError, TruncatedError

Found = TypeVar("Found")

# Retention cuts once a minute at most: who is cut into every time takes too long for it.
_ATTEMPTS = 5
_PROGRESS = progress_topic("")


class LogCuts:
    """Sees whether retention has cut a log since this was made, or was asked last.

    Parameters
    ----------
    log : Log
        Only read.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._starts = self._read_starts()

    def outlasted(
        self, what: str, count: Callable[[], Found], holds: Callable[[Found], bool]
    ) -> Found:
        """What a count finds, made again where it does not hold and the log was cut while it was made.

        Parameters
        ----------
        what : str
            What is counted, for the error.
        count : callable
            Counts, from what the log has then.
        holds : callable
            Whether what was found is as it should be: then no cut has done harm.

        Raises
        ------
        LogError
            Where each count was cut into.
        """
        for _ in range(_ATTEMPTS):
            try:
                found = count()
            except TruncatedError:
                if not self._are_new():
                    raise
                continue
            if holds(found) or not self._are_new():
                return found
        raise LogError(
            f"{what}: retention has cut the log {self._log.url} while it was counted, {_ATTEMPTS} times; stop the "
            "program that cuts it (`land`, or `up`) meanwhile, or count from the lake, which is never cut"
        )

    def _are_new(self) -> bool:
        """Whether a topic begins elsewhere than when this was asked last."""
        before, self._starts = self._starts, self._read_starts()
        return before != self._starts

    def _read_starts(self) -> dict[tuple[str, int], int]:
        """Where topics begin; of control topics, progress alone: the others are cut all the time by who writes them."""
        return {
            (name, partition): self._log.start(name, partition)
            for name, config in self._log.topics().items()
            if not name.startswith("_") or name.startswith(_PROGRESS)
            for partition in range(config.partitions)
        }
