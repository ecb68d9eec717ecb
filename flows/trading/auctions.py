"""Opening and closing auctions, as their prints on the tape show them."""

from collections.abc import Sequence

from flows.trading.interfaces import TradeEvent
from flows.trading.symbol_market import SymbolMarket
from flows.trading.trade_kinds import OFF_EXCHANGE

ANY_AUCTION = "any"
"""`TradeEvent.auction` of a trade whose source tells no sale conditions: its first at or behind the hour is taken
for the auction."""

AUCTION_WAIT_NS = 900_000_000_000
"""How long after its hour an auction may be printed: NYSE's closing prints come within minutes of 16:00."""


def auction_time(time_in_force: str, market: SymbolMarket) -> int:
    """When the next auction is that an order which comes now can be in."""
    opening, close = market.hours.session(market.now)
    if time_in_force == "at_close":
        return close
    return opening if market.now < opening else market.hours.next_opening(market.now)


def joins(
    time_in_force: str,
    auction_at: int | None,
    event: TradeEvent,
    market: SymbolMarket,
    codes: Sequence[str],
) -> bool:
    """Whether a trade is the print of the auction that an order waits for.

    At a venue it is the venue's own print; where all venues are one market, that of the listing venue, or the
    first of any exchange if ``instruments`` does not say where the symbol is listed.
    """
    if auction_at is None or event.ts_event < auction_at:
        return False
    if event.auction not in (ANY_AUCTION, time_in_force.removeprefix("at_")):
        return False
    if codes:
        return event.venue in codes
    if market.listing:
        return event.venue in market.listing
    return event.venue not in OFF_EXCHANGE


def has_begun(auction_at: int | None, market: SymbolMarket) -> bool:
    """Whether an order is in an auction whose hour has come: no exchange takes changes then, whenever it prints."""
    return auction_at is not None and auction_at <= market.now < auction_at + AUCTION_WAIT_NS
