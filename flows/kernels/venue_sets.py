"""Numbers sets of venues, given as bits, by a table that is kept: no sort, no work by the row in Python."""

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Int32s, Int64s

# Mixes the bits of a set over the table: the odd number next to 2**64 / golden ratio, as in Fibonacci hashing.
_MIX = -7046029254386353131


@jit
def set_codes(
    bits: Int64s, sets: Int64s, places: Int32s, known: int, local: Int32s
) -> tuple[Int32s, Int32s, Int64s, bool]:
    """Number the sets of a column in order of their first row.

    Parameters
    ----------
    bits : numpy.ndarray of int64, shape (n,)
        Sets of venues; 0 for the empty set.
    sets, places : numpy.ndarray, shape (a power of two,)
        The table: sets (0 where free) and their places among the texts that are kept; changed.
    known : int
        Texts that are kept; a new set gets the next place.
    local : numpy.ndarray of int32
        For each place -1; changed in between.

    Returns
    -------
    tuple
        Number of each row's set, shape (n,), -1 for the empty set. Place of each number's text. Sets that are
        new, in order of their places. Whether all found room: false where a place is beyond `local`, and
        what is given then is to be thrown away, with the table.
    """
    codes = np.empty(len(bits), dtype=np.int32)
    used = np.empty(min(len(bits), len(local)), dtype=np.int32)
    new = np.empty(min(len(bits), len(local)), dtype=np.int64)
    used_count = 0
    new_count = 0
    fits = True
    mask = len(sets) - 1
    last = np.int64(0)
    last_code = np.int32(-1)
    for i in range(len(bits)):
        one = bits[i]
        if one == 0:
            codes[i] = -1
            continue
        if one != last:
            at = (one * _MIX >> 20) & mask
            while sets[at] != one and sets[at] != 0:
                at = (at + 1) & mask
            if sets[at] == 0:
                if known + new_count == len(local):
                    fits = False
                    break
                sets[at] = one
                places[at] = known + new_count
                new[new_count] = one
                new_count += 1
            place = places[at]
            if local[place] < 0:
                local[place] = used_count
                used[used_count] = place
                used_count += 1
            last = one
            last_code = local[place]
        codes[i] = last_code
    for i in range(used_count):
        local[used[i]] = -1
    return codes, used[:used_count], new[:new_count], fits
