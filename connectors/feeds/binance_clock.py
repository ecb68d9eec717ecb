"""How far a venue's clock is ahead of the receiver's, from messages that say when they were sent.

Each message gives the difference of the clocks less its own way here; the largest difference is that of the shortest
way. It is taken over the last ten to twenty minutes, so that a clock which drifts or is set is followed. A message that
was sent more than five minutes after it came has a wrong time, and is rejected for it: it says nothing of the clocks.
"""

from itertools import pairwise

import numpy as np

from schemas.arrays import Int64s
from schemas.validation import MAX_SKEW_NS

_WINDOW_NS = 600_000_000_000
_NONE = np.iinfo(np.int64).min


class BinanceClock:
    """Follows the difference over a wire; the window before the present one counts too."""

    def __init__(self) -> None:
        self._window: int | None = None
        self._before: int = _NONE
        self._best: int = _NONE

    def ahead(self, sent_ns: Int64s, recv_ns: Int64s) -> Int64s:
        """What to add to each receive time for the venue's clock, ns; 0 while nothing is known.

        Parameters
        ----------
        sent_ns, recv_ns : numpy.ndarray of int64, shape (messages,)
            When each was sent by the venue's clock, 0 where it does not say, and received by ours.
        """
        told = (sent_ns > 0) & (sent_ns - recv_ns <= MAX_SKEW_NS)
        known = np.where(told, sent_ns - recv_ns, _NONE)
        windows = recv_ns // _WINDOW_NS
        ahead = np.empty_like(known)
        cuts = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(windows)]
        for start, end in pairwise(cuts):
            if start == end:
                continue
            if windows[start] != self._window:
                self._window = int(windows[start])
                self._before = self._best if self._best != _NONE else self._before
                self._best = _NONE
            best = np.maximum.accumulate(np.concatenate(([self._best], known[start:end])))
            self._best = int(best[-1])
            ahead[start:end] = np.maximum(best[1:], self._before)
        return np.where(ahead == _NONE, 0, ahead)
