"""Opening and closing auctions, as their prints on the tape show them."""

from collections.abc import Sequence

from flows.trading.interfaces import TradeEvent
from flows.trading.symbol_market import SymbolMarket
from flows.trading.trade_kinds import OFF_EXCHANGE

ANY_AUCTION = "any"
"""`TradeEvent.auction` of a trade whose source tells no sale conditions: its first at or behind the hour is taken
for the auction."""


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
