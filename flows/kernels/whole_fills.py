"""Orders that find all they want displayed: takes them in order of row, as far as that goes."""

from flows.kernels.jit import jit
from schemas.arrays import Int64s


@jit
def take_whole(
    first: int,
    groups: Int64s,
    quantities: Int64s,
    limits: Int64s,
    counts: Int64s,
    begins: Int64s,
    prices: Int64s,
    left: Int64s,
    taken: Int64s,
    orders: Int64s,
    made: int,
    of_row: Int64s,
    fills: Int64s,
) -> tuple[int, int]:
    """Take orders from row `first` on, until one would not be filled whole.

    Parameters
    ----------
    first : int
        Row to begin with.
    groups : numpy.ndarray of int64, shape (n,)
        Twice the number of the order's symbol, one more for a sale; negative for what is no such order.
    quantities, limits : numpy.ndarray of int64, shape (n,)
        Scaled by 10**10; the limit of a market order is the largest or smallest integer.
    counts, begins : numpy.ndarray of int64, shape (groups,)
        How many levels a group has, and the first of them that is not used up; changed.
    prices, left, taken : numpy.ndarray of int64, shape (groups, levels)
        Of each level, best first: its price, what is left of it, and what was taken here; changed.
    orders : numpy.ndarray of int64, shape (groups,)
        How many orders were filled; changed.
    made : int
        How many fills there are already.
    of_row, fills : numpy.ndarray of int64, shape (m,) and (m, 2)
        Row, quantity and price of each fill; written from `made` on.

    Returns
    -------
    tuple of int
        The row to go on with, n if there is none; and how many fills there are then.
    """
    room = len(of_row) - prices.shape[1]
    for i in range(first, len(groups)):
        group = groups[i]
        if group < 0 or made > room:
            return i, made
        sign = -1 if group & 1 else 1
        wanted = quantities[i]
        for level in range(begins[group], counts[group]):
            if wanted <= 0 or sign * prices[group, level] > sign * limits[i]:
                break
            wanted -= left[group, level]
        if wanted > 0:
            return i, made
        orders[group] += 1
        wanted = quantities[i]
        while wanted > 0:
            level = begins[group]
            quantity = min(wanted, left[group, level])
            left[group, level] -= quantity
            taken[group, level] += quantity
            wanted -= quantity
            of_row[made] = i
            fills[made, 0] = quantity
            fills[made, 1] = prices[group, level]
            made += 1
            if left[group, level] == 0:
                begins[group] += 1
    return len(groups), made
