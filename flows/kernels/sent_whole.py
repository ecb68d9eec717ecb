"""Orders that one venue's best price has all of: how far a run of them goes."""

from flows.kernels.jit import jit_in_place
from schemas.arrays import Int64s


@jit_in_place
def whole_until(
    first: int,
    last: int,
    groups: Int64s,
    quantities: Int64s,
    limits: Int64s,
    prices: Int64s,
    sizes: Int64s,
) -> int:
    """Give the first order from a row on that the best price of its side has not enough for, or is beyond the limit of.

    Parameters
    ----------
    first, last : int
        Row to begin with, and the one to end before.
    groups : numpy.ndarray of int64, shape (n,)
        Twice the number of the order's symbol, one more for a sale; negative for what is no such order.
    quantities, limits : numpy.ndarray of int64, shape (n,)
        Scaled by 10**10; the limit of a market order is the largest or smallest integer.
    prices, sizes : numpy.ndarray of int64, shape (groups,)
        What new orders of a group meet first; a size of 0 where that is not known.

    Returns
    -------
    int
        Its row, `last` if there is none.
    """
    for row in range(first, last):
        group = groups[row]
        if group < 0 or quantities[row] > sizes[group]:
            return row
        sign = -1 if group & 1 else 1
        if sign * prices[group] > sign * limits[row]:
            return row
    return last
