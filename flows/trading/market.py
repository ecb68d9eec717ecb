"""What algorithms, routers and venues are told of a symbol's market: how it stands, and what happens there."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Touch:
    """A venue's best quotes as they stand: what is displayed, less what our own fills took of it.

    ``bid`` and ``ask`` are None where there is none, or it is stale.
    """

    venue: str
    bid: int | None
    bid_size: int
    ask: int | None
    ask_size: int
    ts_event: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What the tape has shown of a symbol until the present minute of market time began; sums, older ones fading.

    Parameters
    ----------
    minute : float
        When that was: minutes since 1970; 0 before the symbol's first event.
    squares, seconds : float
        Squared returns of the logarithm of the mid, and the seconds that they took: of about a quarter of an hour.
    volume, minutes : float
        Size traded, and the minutes that it took: of about a quarter of an hour.
    prints : float
        Trades: of about a day.
    venues : mapping of str to (float, float)
        Of each venue that traded: size, and how much of it nobody was shown before (off exchanges: that was
        traded at the mid); of about a day.
    """

    minute: float = 0.0
    squares: float = 0.0
    seconds: float = 0.0
    volume: float = 0.0
    minutes: float = 0.0
    prints: float = 0.0
    venues: Mapping[str, tuple[float, float]] = field(default_factory=dict)


NOTHING_SEEN = Seen()


class Market(ABC):
    """A symbol's market as of now; read only, valid during the call that it is given to."""

    symbol: str
    now: int
    """Market time: the running maximum of the symbol's market events and watermarks."""
    tick: int
    """Smallest step of a price."""
    lot: int
    """Size of a round lot."""

    @property
    def seen(self) -> Seen:
        """What the tape has shown so far."""
        return NOTHING_SEEN

    @property
    @abstractmethod
    def bid(self) -> int | None:
        """Best bid over all venues that are not stale; None where there is none."""

    @property
    @abstractmethod
    def ask(self) -> int | None:
        """Best ask over all venues that are not stale; None where there is none."""

    @property
    @abstractmethod
    def bid_size(self) -> int:
        """Sum of what is left at the best bid."""

    @property
    @abstractmethod
    def ask_size(self) -> int:
        """Sum of what is left at the best ask."""

    @property
    @abstractmethod
    def last(self) -> int | None:
        """Price of the last trade that sets a price."""

    @property
    @abstractmethod
    def is_tradable(self) -> bool:
        """Whether orders can be filled: in opening hours, not halted, not crossed."""

    @property
    @abstractmethod
    def session(self) -> tuple[int, int] | None:
        """Opening and close of the session that is open now, or else of the next one; None if none is known."""

    @abstractmethod
    def touches(self) -> Sequence[Touch]:
        """Of each venue that has quoted, in order of name."""

    @abstractmethod
    def levels(self, side: str, venues: Sequence[str] = ()) -> Sequence[tuple[int, int, str]]:
        """What can be taken: price, size left and venue, best first, then in order of venue.

        Parameters
        ----------
        side : str
            ``buy``: the asks; otherwise the bids.
        venues : sequence of str
            Only theirs; all where empty. Deeper levels are there where ``book_top`` has them.
        """


@dataclass(frozen=True, slots=True)
class QuoteEvent:
    """A venue's quote has changed; `Market` has what stands now."""

    ts_event: int
    venue: str
    depth: bool = False
    """Whether it came as a row of ``book_top``."""


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """A trade that counts in the volume."""

    ts_event: int
    venue: str
    price: int
    size: int
    side: str | None
    """Of the aggressor; None where the source does not say."""
    sets_price: bool
    """Whether its sale conditions let it set the last price."""
    meets_book: bool = True
    """Whether it met orders in a venue's book; not so one of an average price, or printed out of sequence."""
    auction: str | None = None
    """``open`` or ``close`` where it is the print of an auction."""


MarketEvent = QuoteEvent | TradeEvent
