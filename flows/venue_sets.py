"""Sets of venues, which kernels have as bits, as columns of text."""

import numpy as np
import pyarrow as pa

from flows.keys import KeySlots
from schemas.arrays import Int64s


class VenueSets:
    """Writes sets of venues out: names in alphabetical order, commas between them.

    Parameters
    ----------
    venues : KeySlots
        Numbers the venues: bit *i* stands for slot *i*.
    """

    def __init__(self, venues: KeySlots) -> None:
        self._venues = venues
        self._texts: dict[int, str | None] = {0: None}

    def column(self, bits: Int64s) -> pa.DictionaryArray:
        """Sets of venues as a dictionary-encoded column; null for the empty set.

        Parameters
        ----------
        bits : numpy.ndarray of int64, shape (n,)
        """
        # Most rows repeat the set before them: what is sorted is what changes only.
        changes = np.empty(len(bits), dtype=np.bool_)
        changes[:1] = True
        np.not_equal(bits[1:], bits[:-1], out=changes[1:])
        found, places = np.unique(bits[changes], return_inverse=True)
        codes = places.astype(np.int32)[np.cumsum(changes) - 1]
        texts = [self._text(one) for one in found.tolist()]
        if texts[:1] != [None]:
            return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts, pa.string()))
        # The empty set is the smallest number.
        return pa.DictionaryArray.from_arrays(
            pa.array(codes - 1, mask=codes == 0), pa.array(texts[1:], pa.string())
        )

    def _text(self, bits: int) -> str | None:
        if bits not in self._texts:
            names = [name for at, name in enumerate(self._venues.keys) if bits >> at & 1]
            self._texts[bits] = ",".join(sorted(names))
        return self._texts[bits]
