"""An outside broker as a venue: its orders go to ``broker_orders``, its answers come from ``broker_reports``.

`connectors.brokers` has the programs between those topics and the brokers.
"""

from collections.abc import Callable
from typing import Any

from flows.trading.interfaces import Answer, Market, MarketEvent, Order, Terms, Venue


class BrokerVenue(Venue[Market]):
    """A broker's orders of one symbol.

    Parameters
    ----------
    name : str
        The broker's.
    tell : callable
        Takes what the broker is to be told: action, identifier of the order there, and its terms.
    """

    latency_ns = 0

    def __init__(self, name: str, tell: Callable[[str, str, dict[str, Any]], None]) -> None:
        self.name = name
        self._told = tell
        self._orders: dict[str, dict[str, Any]] = {}

    def send(self, order: Order, market: Market) -> list[Answer]:
        """A new order: told to the broker."""
        self._orders[order.order_id] = {
            "account": order.account,
            "side": order.side,
            "order_type": "market" if order.limit_price is None else "limit",
            "time_in_force": order.time_in_force,
            "quantity": order.quantity,
            "limit_price": order.limit_price,
        }
        del market
        self._told("new", order.order_id, self._orders[order.order_id])
        return []

    def replace(self, order_id: str, terms: Terms, market: Market) -> list[Answer]:
        """A replacement: told to the broker, which shows no slices."""
        self._orders[order_id] |= {
            "quantity": terms.quantity,
            "limit_price": terms.limit_price,
            "time_in_force": terms.time_in_force,
        }
        del market
        self._told("replace", order_id, self._orders[order_id])
        return []

    def cancel(self, order_id: str, market: Market) -> list[Answer]:
        """A cancellation: told to the broker."""
        del market
        self._told("cancel", order_id, self._orders[order_id])
        return []

    def on_event(self, event: MarketEvent, market: Market) -> list[Answer]:
        """A broker sees the market itself."""
        del event, market
        return []

    def forget(self, order_id: str) -> None:
        """The broker has said that an order has ended."""
        self._orders.pop(order_id, None)

    def saved(self) -> Any:
        """As JSON values."""
        return self._orders

    def restore(self, saved: Any) -> None:
        """Take over what `saved` gave."""
        self._orders = saved
