"""What an account may do: its row of ``accounts``, and with it what the firm's row allows any account."""

from dataclasses import dataclass, fields, replace
from typing import Any

import pyarrow as pa

from flows.orders.money import ONE
from flows.orders.rows import lists

NO_LIMIT = 10**60
"""Above every number that can be compared with a limit."""

# 12 CFR 220.12 (Regulation T): half of a purchase may be borrowed.
_LEVERAGE = 2 * ONE

_MILLISECOND_NS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A row of ``accounts`` as checks go by it; quantities, amounts and ratios are scaled integers."""

    currency: str
    type: str
    leverage: int = _LEVERAGE
    max_order_quantity: int = NO_LIMIT
    max_order_notional: int = NO_LIMIT
    max_position_quantity: int = NO_LIMIT
    max_position_notional: int = NO_LIMIT
    max_gross_notional: int = NO_LIMIT
    price_collar: int | None = None
    max_orders_per_second: int | None = None
    duplicate_window_ns: int = 0
    restricted: frozenset[str] = frozenset()
    easy_to_borrow: frozenset[str] = frozenset()
    self_trade_allowed: bool = False
    halted: bool = False
    halted_by: str = ""

    @property
    def is_margin(self) -> bool:
        """Whether the account may owe."""
        return self.type == "margin"


NOTIONALS = ("max_order_notional", "max_position_notional", "max_gross_notional")
"""Limits in the currency of the row that they are from."""

_SMALLEST = ("max_order_quantity", "max_position_quantity", *NOTIONALS)

_COLUMNS = (
    "account",
    "currency",
    "type",
    "leverage",
    *_SMALLEST,
    "price_collar",
    "max_orders_per_second",
    "duplicate_window_ms",
    "restricted",
    "easy_to_borrow",
    "self_trade_allowed",
    "halted",
)


def limits_of(batch: pa.RecordBatch) -> dict[str, Limits]:
    """Account to the limits of its last row in a batch of ``accounts``, in order of first row."""
    rows = zip(*lists(batch, _COLUMNS), strict=True)
    newest = {row[0]: row for row in rows}
    return {name: _limits(dict(zip(_COLUMNS, row, strict=True))) for name, row in newest.items()}


def together(own: Limits, firm: Limits | None) -> Limits:
    """What holds for an account: of each limit the tighter one.

    The firm's notional limits must be in the account's currency already. Borrowing, leverage and self-trades are
    the account's own business.
    """
    if firm is None:
        return own
    windows = (own.duplicate_window_ns, firm.duplicate_window_ns)
    return replace(
        own,
        **{name: min(getattr(own, name), getattr(firm, name)) for name in _SMALLEST},
        price_collar=_tighter(own.price_collar, firm.price_collar),
        max_orders_per_second=_tighter(own.max_orders_per_second, firm.max_orders_per_second),
        duplicate_window_ns=max(windows),
        restricted=own.restricted | firm.restricted,
        halted=own.halted or firm.halted,
        halted_by=own.halted_by if own.halted else firm.halted_by,
    )


def saved(limits: Limits) -> list[Any]:
    """Limits as JSON values."""
    values = [getattr(limits, field.name) for field in fields(Limits)]
    return [sorted(one) if isinstance(one, frozenset) else one for one in values]


def restored(values: list[Any]) -> Limits:
    """Limits from what `saved` gave."""
    names = [field.name for field in fields(Limits)]
    named: dict[str, Any] = dict(zip(names, values, strict=True))
    lists_ = {name: frozenset(one) for name, one in named.items() if isinstance(one, list)}
    return Limits(**(named | lists_))


def _limits(row: dict[str, Any]) -> Limits:
    given = {name: NO_LIMIT if row[name] is None else row[name] for name in _SMALLEST}
    return Limits(
        currency=row["currency"],
        type=row["type"],
        leverage=row["leverage"] or _LEVERAGE,
        **given,
        price_collar=row["price_collar"],
        max_orders_per_second=row["max_orders_per_second"],
        duplicate_window_ns=(row["duplicate_window_ms"] or 0) * _MILLISECOND_NS,
        restricted=_symbols(row["restricted"]),
        easy_to_borrow=_symbols(row["easy_to_borrow"]),
        self_trade_allowed=row["self_trade_allowed"],
        halted=row["halted"],
        halted_by=row["account"] if row["halted"] else "",
    )


def _symbols(text: str | None) -> frozenset[str]:
    return frozenset(one.strip() for one in (text or "").split(",")) - {""}


def _tighter(one: int | None, other: int | None) -> int | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given, default=None)
