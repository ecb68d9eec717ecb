"""The newest entry at or before a time, for keys with sorted histories."""

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Int64s


@jit
def last_at(keys: Int64s, times: Int64s, bounds: Int64s, known: Int64s) -> Int64s:
    """Place of the newest known time at or before each row's time.

    Parameters
    ----------
    keys, times : numpy.ndarray of int64, shape (n,)
        Key and time of each row; a negative key has no history.
    bounds : numpy.ndarray of int64, shape (keys + 1,)
        Key *k* has the times ``known[bounds[k]:bounds[k + 1]]``, ascending.
    known : numpy.ndarray of int64

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Place in `known`, -1 where there is none.
    """
    found = np.empty(len(keys), dtype=np.int64)
    for i in range(len(keys)):
        found[i] = -1
        if keys[i] < 0:
            continue
        first = bounds[keys[i]]
        low = first
        high = bounds[keys[i] + 1]
        while low < high:
            middle = (low + high) // 2
            if known[middle] <= times[i]:
                low = middle + 1
            else:
                high = middle
        if low > first:
            found[i] = low - 1
    return found
