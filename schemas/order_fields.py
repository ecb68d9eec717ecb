"""Fields that records of orders, executions and accounts share."""

from dataclasses import replace

from schemas.field import BOOL, CATEGORY, DECIMAL, INT64, TEXT, TIMESTAMP, Field
from schemas.market import SYMBOL, TS_EVENT, TS_RECV

_NS = "ns since 1970-01-01 UTC"
_QUANTITY = "shares, contracts or coins"
_PRICE = "quote currency"

SIDES = ("buy", "sell", "sell_short")
ORDER_TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop", "pegged")
TIMES_IN_FORCE = ("day", "gtc", "gtd", "ioc", "fok", "at_open", "at_close")
ALGORITHMS = ("twap", "vwap", "implementation_shortfall", "iceberg", "sniper", "pov")
LOT_METHODS = ("fifo", "lifo", "highest_cost", "specific")


def text(name: str, meaning: str, *, nullable: bool = False) -> Field:
    """A string of any length."""
    return Field(name=name, type=TEXT, unit="none", nullable=nullable, meaning=meaning)


def word(
    name: str,
    meaning: str,
    *,
    allowed: tuple[str, ...] = (),
    nullable: bool = False,
    default: str | None = None,
) -> Field:
    """A string that few values repeat."""
    return Field(
        name=name,
        type=CATEGORY,
        unit="none",
        nullable=nullable,
        meaning=meaning,
        allowed=allowed,
        default=default,
    )


def flag(name: str, meaning: str, *, default: bool | None = None) -> Field:
    """Yes or no."""
    return Field(
        name=name, type=BOOL, unit="none", nullable=False, meaning=meaning, default=default
    )


def number(name: str, meaning: str) -> Field:
    """A count from 1 on."""
    return Field(name=name, type=INT64, unit="none", nullable=False, minimum=1, meaning=meaning)


def quantity(
    name: str, meaning: str, *, nullable: bool = False, signed: bool = False, above: bool = False
) -> Field:
    """An exact quantity: signed, from zero, or above zero."""
    return Field(
        name=name,
        type=DECIMAL,
        unit=_QUANTITY,
        nullable=nullable,
        meaning=meaning,
        minimum=None if signed or above else 0,
        above=0 if above else None,
    )


def price(name: str, meaning: str, *, nullable: bool = False, above: bool = True) -> Field:
    """An exact price above zero, or any amount a unit."""
    return Field(
        name=name,
        type=DECIMAL,
        unit=_PRICE,
        nullable=nullable,
        meaning=meaning,
        above=0 if above else None,
    )


def money(name: str, meaning: str, *, nullable: bool = False) -> Field:
    """An exact amount of the row's currency, of either sign."""
    return Field(
        name=name, type=DECIMAL, unit="the row's currency", nullable=nullable, meaning=meaning
    )


def time(name: str, meaning: str, *, nullable: bool = False) -> Field:
    """A time besides that of the row."""
    return Field(name=name, type=TIMESTAMP, unit=_NS, nullable=nullable, meaning=meaning)


ACCOUNT = word("account", "Account that it belongs to.")
ORDER_SYMBOL = SYMBOL
MARKET_TIME = replace(
    TS_EVENT,
    meaning="Market time: the newest market event that the flow had seen when it happened.",
)
ENTRY_TIME = replace(TS_EVENT, meaning="When the door took it, by the wall clock.")
RECEIVED = TS_RECV
SIDE = word("side", "Buy, sell, or sell what is borrowed.", allowed=SIDES)
CURRENCY = word("currency", "Currency of the amounts, ISO 4217 or a coin's code.")
STRATEGY = word("strategy", "Strategy that it is for; empty for none.", default="")
ORDER_ID = text("order_id", "Identifier of the order, given by Tapeflow.")
CLIENT_ORDER_ID = text("client_order_id", "Identifier of the order, given by its client.")
PARENT_ORDER_ID = text(
    "parent_order_id",
    "Order that this one works for: an algorithm's, a bracket's; null for none.",
    nullable=True,
)
CORRELATION_ID = text(
    "correlation_id", "Identifier of the request that began it, as in logs.", nullable=True
)
