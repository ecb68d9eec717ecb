"""When orders expire, in market time."""

from flows.trading.auctions import AUCTION_WAIT_NS, auction_time
from flows.trading.symbol_market import SymbolMarket


def expires_at(time_in_force: str, ts_expire: int | None, market: SymbolMarket) -> int | None:
    """When an order that comes now expires; None for never.

    Day orders expire at the close of the session that is open, or else of the next one, as do those
    that fill at once or not at all while they wait for a trigger; auction orders when their auction was not
    printed in time.
    """
    if time_in_force == "gtd":
        return ts_expire
    if time_in_force == "gtc":
        return None
    if time_in_force in ("at_open", "at_close"):
        return auction_time(time_in_force, market) + AUCTION_WAIT_NS
    return market.hours.session(market.now)[1]
