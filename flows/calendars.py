"""Which calendar each symbol has, and the sessions of all calendars, as kernels take them."""

from collections.abc import Mapping

import numpy as np

from schemas.arrays import Int64s
from schemas.sessions import session_starts


class Calendars:
    """Calendars of symbols by slot.

    Parameters
    ----------
    default : str
        Calendar (exchange_calendars) of symbols that have no other.
    others : mapping of str to str
        Symbol to calendar.
    """

    def __init__(self, default: str, others: Mapping[str, str]) -> None:
        self._default = default
        self._others = others
        self._names = list(dict.fromkeys([default, *others.values()]))
        starts = [session_starts(name) for name in self._names]
        self._starts = np.concatenate(starts)
        self._bounds = np.cumsum([0, *(len(part) for part in starts)], dtype=np.int64)
        self._of_slot: Int64s = np.empty(0, dtype=np.int64)

    def of(self, symbols: list[str]) -> tuple[Int64s, Int64s, Int64s]:
        """Calendar of each symbol, in order of slot; starts and bounds of all calendars' sessions.

        Calendar *c* has the sessions that begin at ``starts[bounds[c]:bounds[c + 1]]``.
        """
        if len(self._of_slot) < len(symbols):
            calendars = [self._others.get(symbol, self._default) for symbol in symbols]
            self._of_slot = np.array([self._names.index(name) for name in calendars], np.int64)
        return self._of_slot, self._starts, self._bounds
