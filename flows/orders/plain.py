"""Plain orders: rows of ``orders`` that surely pass the checks that ask no account's book, found by column.

Most orders are plain: new, simple market or limit orders at ordinary prices. What is said here is only that a row
passes: one that is not plain, or close to a limit, goes through `flows.orders.checks`, whose word counts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows.columns import Codes, codes_or_end
from flows.orders.blotter import Blotter
from flows.orders.limits import Limits
from flows.orders.market import Market
from flows.orders.money import ONE, small_ints
from schemas.accounts import FIRM
from schemas.arrays import Bools, Floats, Int32s, Int64s
from schemas.order_ids import EXIT_SUFFIXES

# A product of two float64 is off by less than 1e-15 of it: checks decide what is closer to a limit than this.
_SURELY = 1 - 1e-9

# Numbers from here on are left to the checks: sums of them might not fit.
_LARGE = 1 << 62

# A plain order has none of these: so nothing is wrong with them.
_UNUSUAL = ("stop_price", "display_quantity", "ts_expire")

# Times any price more than any price.
_NO_EDGE = 1e30

_NOT_PLAIN = (0, 1, 1, 0, 0)

_NEW = Codes(["new"])
_TYPES = Codes(["market", "limit"])
_MARKET, _LIMIT = range(2)
_SIMPLE = Codes(["simple"])
_SIDES = Codes(["buy", "sell", "sell_short"])


class PlainRows(NamedTuple):
    """Which rows are plain, and what is known of them; lists have one place a row, n.

    Parameters
    ----------
    is_plain : list of bool
        Whether the row is; what the others say of it means nothing where it is not.
    is_buy : list of bool
        Its side.
    prices : list of int
        Its `flows.orders.checks.reference_price`.
    accounts : list of int
        Place of its account in ``names``.
    names : list of str
        Accounts.
    """

    is_plain: list[bool]
    is_buy: list[bool]
    prices: list[int]
    accounts: list[int]
    names: list[str]


def plain_rows(batch: pa.RecordBatch, blotters: Mapping[str, Blotter], market: Market) -> PlainRows:
    """Which rows of a batch of ``orders`` are plain.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Valid rows, n.
    blotters : mapping of str to Blotter
        Accounts that are known.
    market : Market
        Prices and instruments, as they are when the rows are taken.
    """
    names = batch.column("account").dictionary.to_pylist()
    accounts = codes_or_end(batch.column("account"))
    if len(set(names)) < len(names):
        # A dictionary may say a word twice, and each account has one book.
        accounts = np.array([names.index(name) for name in names], np.int32)[accounts]
    listed = batch.column("symbol").dictionary.to_pylist()
    symbols = codes_or_end(batch.column("symbol"))
    limits = [_limits_of(blotters.get(name)) for name in names]
    currencies = {one.currency: at for at, one in enumerate(limits, 1) if one is not None}

    quantity, is_small = small_ints(batch.column("quantity"))
    limit, has_limit = small_ints(batch.column("limit_price"))
    is_buy = _SIDES.of(batch.column("side")) == 0
    currency, step, tick, bid, ask = _quoted(listed, market, currencies)[:, symbols]
    best = np.where(is_buy, ask, bid)
    price = np.where(has_limit, np.where(is_buy, limit, np.maximum(limit, bid)), best)
    # A limit that does not fit is not taken for one that there is not.
    plain = _is_usual(batch) & is_small & (has_limit | _is_null(batch.column("limit_price")))
    plain &= (quantity % step == 0) & (limit % tick == 0)
    of_account = _allowed(limits, currencies)[:, accounts]
    own_currency, most, notional, above, below = of_account
    plain &= (currency > 0) & (currency == own_currency) & (quantity <= most)
    plain &= quantity.astype(np.float64) * price <= notional
    edge = best * np.where(is_buy, above, below)
    plain &= ~has_limit | np.where(is_buy, limit <= edge, limit >= edge)
    _leave_out_restricted(plain, limits, accounts, symbols, listed)
    return PlainRows(plain.tolist(), is_buy.tolist(), price.tolist(), accounts.tolist(), names)


def _limits_of(blotter: Blotter | None) -> Limits | None:
    """Limits of an account that may trade; None for any other."""
    if blotter is None or blotter.account.name == FIRM:
        return None
    limits = blotter.account.limits
    return None if limits is None or limits.halted else limits


def _quoted(names: Sequence[str], market: Market, currencies: Mapping[str, int]) -> Int64s:
    """Of each symbol, and of none: number of its currency, 0 where it is not to be had; step, tick, bid and ask."""
    rows = []
    for name in names:
        row = _NOT_PLAIN
        one = market.fresh(name)
        if one is not None and one.price is not None and one.currency is not None:
            bid = one.price if one.bid is None else one.bid
            ask = one.price if one.ask is None else one.ask
            step, tick = one.step or 1, one.tick or 1
            if 0 < bid < _LARGE and 0 < ask < _LARGE and step < _LARGE and tick < _LARGE:
                row = (currencies.get(one.currency, 0), step, tick, bid, ask)
        rows.append(row)
    rows.append(_NOT_PLAIN)
    return np.array(rows, np.int64).T


def _allowed(limits: Sequence[Limits | None], currencies: Mapping[str, int]) -> Floats:
    """Of each account: number of its currency, -1 where it may not trade; most quantity and value of an order; collar."""
    rows = []
    for one in limits:
        if one is None:
            rows.append((-1.0, 0.0, 0.0, 0.0, 0.0))
            continue
        above, below = _NO_EDGE, -_NO_EDGE
        if one.price_collar is not None:
            collar = one.price_collar / ONE
            above, below = (1 + collar) * _SURELY, (1 - collar) / _SURELY
        notional = float(one.max_order_notional) * ONE * _SURELY
        quantity = one.max_order_quantity * _SURELY
        rows.append((float(currencies[one.currency]), quantity, notional, above, below))
    return np.array(rows, np.float64).T


def _leave_out_restricted(
    plain: Bools,
    limits: Sequence[Limits | None],
    accounts: Int32s,
    symbols: Int32s,
    names: Sequence[str],
) -> None:
    known = frozenset(names)
    for at, one in enumerate(limits):
        if one is not None and not one.restricted.isdisjoint(known):
            restricted = np.array([name in one.restricted for name in names] + [False])
            plain &= ~((accounts == at) & restricted[symbols])


def _is_usual(batch: pa.RecordBatch) -> Bools:
    """Whether a row asks for a new order of the simplest kind."""
    usual: Bools = _NEW.of(batch.column("command")) == 0
    kinds = _TYPES.of(batch.column("order_type"))
    # A market order with a limit is refused.
    usual &= (kinds == _LIMIT) | ((kinds == _MARKET) & _is_null(batch.column("limit_price")))
    usual &= _SIMPLE.of(batch.column("order_class")) == 0
    usual &= _SIDES.of(batch.column("side")) >= 0
    for name in _UNUSUAL:
        usual &= _is_null(batch.column(name))
    clients = batch.column("client_order_id")
    for suffix in EXIT_SUFFIXES:
        usual &= ~_bools(pc.ends_with(clients, suffix))
    return usual


def _is_null(column: pa.Array) -> Bools:
    if not column.null_count:
        return np.zeros(len(column), np.bool_)
    return _bools(column.is_null())


def _bools(column: pa.Array) -> Bools:
    values: NDArray[np.bool_] = column.to_numpy(zero_copy_only=False)
    return values
