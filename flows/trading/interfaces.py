"""What an algorithm, a router and a venue are told, and what they answer. Contracts only: no logic.

All of them serve one symbol, and know nothing of topics, batches or the log. Prices and quantities are integers,
units of 10**-10 (`ONE` is one share or one unit of currency); times are ns since 1970 UTC, in market time. What
they hold is JSON values (`saved`), and the same calls give the same answers: no clock, no random numbers,
no set order.

Where they are found, by name, when they are first needed:

- ``flows.trading.algorithms``: ``ALGORITHMS``, a dict of name (`schemas.order_fields.ALGORITHMS`) to subclass of
  `Algorithm`; ``VolumeCurves``, a subclass of `Curves`.
- ``flows.trading.routing``: ``Router``, a subclass of `RouterBase`; ``venue_model(name, instrument_type)``, the
  `VenueModel` of any name that an order or market data gives a venue.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa

from flows.trading.market import (
    Market,
    MarketEvent,
    QuoteEvent,
    Touch,
    TradeEvent,
)

SeenMarket_contra = TypeVar("SeenMarket_contra", bound=Market, contravariant=True)
"""How much of a market a venue has to see: a broker's needs no more than any market."""

__all__ = [
    "CONSOLIDATED",
    "ONE",
    "Action",
    "Algorithm",
    "AlgorithmReport",
    "Answer",
    "Cancel",
    "Curves",
    "Decision",
    "Fill",
    "Filled",
    "Finish",
    "Market",
    "MarketEvent",
    "Order",
    "QuoteEvent",
    "Replace",
    "RouterBase",
    "Send",
    "Terms",
    "Told",
    "Touch",
    "TradeEvent",
    "Venue",
    "VenueModel",
]

ONE = 10**10
"""One share, contract, coin or unit of currency: the scale of schemas.field.DECIMAL."""

CONSOLIDATED = "PAPER"
"""The paper venue that sees all venues' quotes and trades as one market; without latency and fees."""


@dataclass(slots=True)
class Order:
    """An order as its owner stands to it: an ordered one, or what remains of it, or an algorithm's child.

    Parameters
    ----------
    order_id : str
        Identifier of the ordered order; of a child ``ORDER.number``.
    quantity : int
        Total; of what is to be routed: what is to be sent now.
    order_type : str
        ``market``, ``limit`` or ``pegged``: triggers are pulled before an order is routed.
    """

    order_id: str
    account: str
    symbol: str
    side: str
    quantity: int
    order_type: str
    time_in_force: str
    limit_price: int | None = None
    peg: str | None = None
    peg_offset: int = 0
    display_quantity: int | None = None
    venue: str | None = None

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.side == "buy"


# Algorithms


@dataclass(frozen=True, slots=True)
class Send:
    """Send a child order. ``number`` is the algorithm's own, from 1 on, each once."""

    number: int
    quantity: int
    limit_price: int | None = None
    """None for a market order."""
    time_in_force: str = "day"
    """``day``, ``ioc`` or ``fok``."""
    venue: str | None = None
    """None lets the router choose."""
    display_quantity: int | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Change a child; ``quantity`` is its new total."""

    number: int
    quantity: int
    limit_price: int | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a child; `Algorithm.on_end` says when it has ended."""

    number: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The algorithm has ended: open children are cancelled, and what is not filled is cancelled for this reason."""

    reason: str


Action = Send | Replace | Cancel | Finish


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill of one of the algorithm's children."""

    number: int
    quantity: int
    price: int
    venue: str
    liquidity: str


@dataclass(frozen=True, kw_only=True)
class AlgorithmReport:
    """The fields of ``algorithm_reports`` that only the algorithm knows; floats are analytics, in units of one."""

    arrival_price: float | None = None
    vwap: float | None = None
    twap: float | None = None
    slippage_arrival: float | None = None
    slippage_vwap: float | None = None
    slippage_twap: float | None = None
    participation: float | None = None
    ts_begin: int | None = None
    """When it began to work, market time: what it is measured from. None: with the order."""
    note: str | None = None
    """What should be known of the run in words, such as what was guessed because nothing was known."""


class Curves(ABC):
    """What is learned of all symbols of a shard from ``bars``, whether or not they have orders; bounded."""

    @abstractmethod
    def __init__(self, saved: Any) -> None:
        """From what `saved` gave, or None."""

    @abstractmethod
    def take(self, bars: pa.RecordBatch) -> None:
        """Take rows of ``bars`` in, of any interval, in order."""

    @abstractmethod
    def of(self, symbol: str) -> Any:
        """What is known of a symbol, as JSON values; None if nothing. An algorithm gets it when it begins."""

    @abstractmethod
    def saved(self) -> Any:
        """All of it as JSON values; the same state gives the same."""


class Algorithm(ABC):
    """Works one order by child orders.

    Its host calls `begin` once, then `on_event` for each market event of the symbol in opening hours, `on_time`
    when ``wake_at`` has come (with the market as it stood until then), `on_fill` and `on_end` of its
    children. Each gives actions, which are carried out in order. The host sees to it that children never
    exceed what is not filled yet: what a `Send` asks too much is cut off.

    Parameters
    ----------
    order : Order
        What is to be worked; ``quantity`` and ``limit_price`` change with `on_replace`.
    params : mapping
        What `check` has accepted.
    """

    name: ClassVar[str]
    wake_at: int | None = None
    """When `on_time` is to be called, market time; None for never."""

    @classmethod
    @abstractmethod
    def check(cls, order: Order, params: Mapping[str, Any]) -> str | None:
        """Why the parameters (any JSON object) cannot be used, or None if they can."""

    @abstractmethod
    def __init__(self, order: Order, params: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def begin(self, market: Market, curve: Any) -> list[Action]:
        """Called once, when the order arrives; the market may be closed. ``curve`` is `Curves.of`."""

    @abstractmethod
    def on_event(self, event: MarketEvent, market: Market) -> list[Action]:
        """A market event, which the market has in it already."""

    @abstractmethod
    def on_time(self, market: Market) -> list[Action]:
        """``wake_at`` has come."""

    @abstractmethod
    def on_fill(self, fill: Fill, market: Market) -> list[Action]:
        """A child was filled, in whole or in part."""

    @abstractmethod
    def on_end(self, number: int, reason: str, market: Market) -> list[Action]:
        """A child has ended; ``reason`` is filled, cancelled, expired or rejected, then a colon and why."""

    @abstractmethod
    def on_replace(self, order: Order, market: Market) -> list[Action]:
        """The order has another quantity or limit."""

    @abstractmethod
    def report(self, market: Market) -> AlgorithmReport:
        """What was achieved, once it has ended."""

    @abstractmethod
    def saved(self) -> Any:
        """Its state as JSON values, without order and parameters."""

    @abstractmethod
    def restore(self, saved: Any) -> None:
        """Take over what `saved` gave; called on a fresh instance in place of `begin`."""


# Routing and venues


class VenueModel(Protocol):
    """What is known of a venue: what it charges, how far it is, what it hides (`flows.trading.routing.venues`)."""

    @property
    def venue(self) -> str:
        """Its name in decisions and executions."""

    @property
    def tape(self) -> tuple[str, ...]:
        """Its names in market data; none where it takes the prices of the whole market."""

    @property
    def latency_ns(self) -> int:
        """From us to its book, market time."""

    @property
    def hidden_share(self) -> float:
        """Share of its volume that meets orders nobody was shown."""

    @property
    def volume_share(self) -> float:
        """Its part of all venues' volume."""

    @property
    def is_displayed(self) -> bool:
        """Whether it displays orders; what does not trades at the mid."""

    def taking_fee(self, price: Decimal) -> Decimal:
        """Fee a share for taking at a price, not rounded; negative is a rebate."""

    def adding_fee(self, price: Decimal) -> Decimal:
        """Fee a share for adding at a price, not rounded."""

    def auction_fee(self, *, at_open: bool) -> Decimal:
        """Fee a share in an auction, not rounded."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A part of an order, and the venue that it goes to."""

    venue: str
    quantity: int
    immediate: bool
    """Whether what is not filled at once comes back to be routed again; otherwise it stays there."""
    reason: str
    candidates: str = "[]"
    """JSON array: each venue with what was known and expected of it."""
    expected_cost: float | None = None
    """Quote currency a share against the mid; None where there is no mid."""


class RouterBase(ABC):
    """Chooses venues. Has no state of its own: what it knows is in the market."""

    @abstractmethod
    def __init__(self, instrument_type: str) -> None:
        """For symbols of a type, as in ``instruments``."""

    @abstractmethod
    def route(self, order: Order, market: Market, *, is_new: bool = True) -> list[Decision]:
        """Where the order goes, in the order of sending; quantities sum to the order's, each above zero.

        Asked again, with what is left and not ``is_new``, when an immediate part comes back. Never asked of orders that are
        not to be split (fill or kill, auctions), or that name a venue.
        """


@dataclass(frozen=True, slots=True)
class Filled:
    """A venue's answer: an order was filled."""

    order_id: str
    quantity: int
    price: int
    liquidity: str
    """``added``, ``removed`` or ``auction``."""
    fees: int
    """In units of 10**-10 of the currency, not rounded yet."""


@dataclass(frozen=True, slots=True)
class Told:
    """A venue's answer that is no fill. An order has ended with cancelled, expired and rejected."""

    order_id: str
    report: str
    """``accepted``, ``replaced``, ``replace_rejected``, ``cancelled``, ``cancel_rejected``, ``expired``, ``rejected``."""
    reason: str | None = None


Answer = Filled | Told


@dataclass(frozen=True, slots=True)
class Terms:
    """What of an order at a venue can be replaced; ``quantity`` is its new total, when it ends goes by only brokers."""

    quantity: int
    limit_price: int | None
    display_quantity: int | None
    time_in_force: str
    peg_offset: int


class Venue(ABC, Generic[SeenMarket_contra]):
    """Where orders of one symbol work. What reaches it has had its latency already.

    Every call gives the answers that it caused, in order.
    """

    name: str
    latency_ns: int

    @abstractmethod
    def send(self, order: Order, market: SeenMarket_contra) -> list[Answer]:
        """A new order; its identifier names it from now on."""

    @abstractmethod
    def replace(self, order_id: str, terms: Terms, market: SeenMarket_contra) -> list[Answer]:
        """Other terms. Priority is kept only where nothing but the quantity goes down."""

    @abstractmethod
    def cancel(self, order_id: str, market: SeenMarket_contra) -> list[Answer]:
        """Cancel what is open of an order."""

    @abstractmethod
    def on_event(self, event: MarketEvent, market: SeenMarket_contra) -> list[Answer]:
        """A market event, which the market has in it already."""

    def forget(self, order_id: str) -> None:
        """Called when an order of the venue has ended."""
        del order_id

    @abstractmethod
    def saved(self) -> Any:
        """Its state as JSON values."""

    @abstractmethod
    def restore(self, saved: Any) -> None:
        """Take over what `saved` gave."""
