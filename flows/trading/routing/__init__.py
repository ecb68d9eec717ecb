"""Smart order routing: venue models, expected costs, and the router that chooses by them."""

from flows.trading.routing.router import Router
from flows.trading.routing.venues import venue_model

__all__ = ["Router", "venue_model"]
