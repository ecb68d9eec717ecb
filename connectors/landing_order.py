"""Lands a flow's progress behind all that it speaks of, so that the lake is a log that can be replayed at any moment.

A progress record tells how far inputs were read, and that the outputs of its commit are there. The lander reads
topics one after the other, while flows go on: without an order, the lake's newest progress records would
speak of rows that came to the log after the lander had passed their topic.
"""

from collections.abc import Callable, Mapping

from connectors.control import progress_topic
from connectors.landing_tail import Piece
from connectors.log import Log

Place = tuple[str, int]

_PROGRESS = progress_topic("")


def is_progress(name: str) -> bool:
    """Whether a log topic holds a flow's progress records."""
    return name.startswith(_PROGRESS)


class ProgressLast:
    """Holds progress records back until every other partition was read up to where it ended meanwhile.

    At most one piece a partition is held. Where the lander keeps up, they wait within one step only.

    Parameters
    ----------
    log : Log
        Asked for the ends of partitions that are not read to their end within a step.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held: list[Piece] = []
        self._behind: set[Place] = set()
        self._ends: dict[Place, int] = {}

    @property
    def holding(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def hold(self, cursors: Mapping[Place, int], read: Callable[[Place], Piece | None]) -> None:
        """Read the next progress records, unless some are held still.

        Parameters
        ----------
        cursors : mapping of (topic, partition) to int
            All that land, and up to where they were read.
        read : callable
            Gives the next piece of a partition and moves its cursor on.
        """
        if self._held:
            return
        progress = {at: offset for at, offset in cursors.items() if is_progress(at[0])}
        pieces = [read(at) for at in self._log.news(progress)]
        self._held = [piece for piece in pieces if piece is not None]
        self._behind = cursors.keys() - progress.keys()
        self._ends = {}

    def at_end(self, place: Place) -> None:
        """Say that a partition was found read to its end."""
        self._behind.discard(place)

    def released(self, cursors: Mapping[Place, int]) -> list[Piece]:
        """The held pieces, once all other partitions have passed what was there when they were read."""
        if not self._held:
            return []
        for place in self._behind - self._ends.keys():
            self._ends[place] = self._log.end(*place)
        self._behind = {at for at in self._behind if cursors[at] < self._ends[at]}
        if self._behind:
            return []
        released, self._held = self._held, []
        return released
