"""Sets of venues, which kernels have as bits, as columns of text."""

import numpy as np
import pyarrow as pa

from flows.kernels.venue_sets import set_codes
from flows.keys import KeySlots
from schemas.arrays import Int64s

# Texts that are kept; beyond, all are made again as they come: sets could be as many as two to the venues. One
# batch has fewer rows.
_KEPT = 1 << 14


class VenueSets:
    """Writes sets of venues out: names in alphabetical order, commas between them.

    Parameters
    ----------
    venues : KeySlots
        Numbers the venues: bit *i* stands for slot *i*.
    """

    def __init__(self, venues: KeySlots) -> None:
        self._venues = venues
        self._local = np.full(_KEPT, -1, dtype=np.int32)
        self._sets = np.zeros(4 * _KEPT, dtype=np.int64)
        self._places = np.zeros(4 * _KEPT, dtype=np.int32)
        self._texts = pa.array([], pa.string())

    def column(self, bits: Int64s) -> pa.DictionaryArray:
        """Sets of venues as a dictionary-encoded column; null for the empty set.

        Parameters
        ----------
        bits : numpy.ndarray of int64, shape (n,)
            At most as many rows as one pass of a kernel writes.
        """
        table = (self._sets, self._places)
        codes, used, new, fits = set_codes(bits, *table, len(self._texts), self._local)
        if not fits:
            self._sets[:] = 0
            self._texts = pa.array([], pa.string())
            codes, used, new, _ = set_codes(bits, *table, 0, self._local)
        if len(new):
            added = pa.array([self._text(one) for one in new.tolist()], pa.string())
            self._texts = pa.concat_arrays([self._texts, added])
        texts = self._texts.take(pa.array(used))
        if codes.min(initial=0) < 0:
            return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), texts)
        return pa.DictionaryArray.from_arrays(pa.array(codes), texts, safe=False)

    def _text(self, bits: int) -> str:
        return ",".join(sorted(name for at, name in enumerate(self._venues.keys) if bits >> at & 1))
