"""Rows of ``instructions`` that are nothing but a new market or limit order, by column."""

import numpy as np
import pyarrow as pa

from flows.columns import Codes, times_ns
from flows.orders.money import small_ints
from flows.trading.interfaces import CONSOLIDATED
from schemas.arrays import Bools, Int64s

_LARGEST = np.iinfo(np.int64).max

_NEW = Codes(["new"])
_TYPES = Codes(["market", "limit"])
_DAY_LONG = Codes(["day", "ioc", "fok"])
_LASTING = Codes(["gtc"])
_WHOLE = Codes(["fok"])
_BUY = Codes(["buy"])
_PAPER = Codes([CONSOLIDATED])

# What a plain order has none of; whether its values make sense is nobody's question then. Exits, which have a parent, share
# what they fill with one another.
_NOTHING = (
    "parent_order_id",
    "stop_price",
    "trail_amount",
    "trail_percent",
    "peg_offset",
    "display_quantity",
    "algorithm",
)


class PlainOrders:
    """Terms of plain orders, by row of their batch.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows of ``instructions``; n of them.
    smart_routing : bool
        Whether only orders that name the paper market go there.

    Attributes
    ----------
    plain : numpy.ndarray of bool, shape (n,)
        Which rows are plain orders with terms that fit 62 bits, and go to the paper market as a whole.
    routed : numpy.ndarray of bool, shape (n,)
        Which are such orders that the router sends to venues; of rows that are neither the terms say nothing.
    sales, expiring, limited : numpy.ndarray of bool, shape (n,)
        Which sell, which expire with the session, which have a limit.
    quantities, limits : numpy.ndarray of int64, shape (n,)
        Scaled by 10**10; of a market order the limit that every price is within.
    times : numpy.ndarray of int64, shape (n,)
        Time of the row, ns since 1970 UTC.
    """

    def __init__(self, batch: pa.RecordBatch, *, smart_routing: bool) -> None:
        kinds = _TYPES.of(batch.column("order_type"))
        self.sales: Bools = _BUY.of(batch.column("side")) != 0
        self.expiring: Bools = _DAY_LONG.of(batch.column("time_in_force")) >= 0
        self.limited: Bools = kinds == 1
        self.times = times_ns(batch.column("ts_event"))
        self.quantities, fits = small_ints(batch.column("quantity"))
        limits, limit_fits = small_ints(batch.column("limit_price"))
        anything = np.where(self.sales, -_LARGEST, _LARGEST)
        self.limits: Int64s = np.where(self.limited, limits, anything)
        lasts = self.expiring | (_LASTING.of(batch.column("time_in_force")) == 0)
        plain = (_NEW.of(batch.column("action")) == 0) & (kinds >= 0) & lasts
        plain &= fits & (self.quantities > 0)
        plain &= ~self.limited | (limit_fits & (limits > 0))
        for name in _NOTHING:
            column = batch.column(name)
            if column.null_count < len(column):
                plain &= column.is_null().to_numpy(zero_copy_only=False)
        free = batch.column("venue").is_null().to_numpy(zero_copy_only=False)
        # What must be filled whole is not split.
        split = free & smart_routing & (_WHOLE.of(batch.column("time_in_force")) < 0)
        self.routed: Bools = plain & split
        self.plain: Bools = plain & ((_PAPER.of(batch.column("venue")) == 0) | free) & ~split
