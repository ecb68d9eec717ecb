"""What a fill costs at a venue, before it is rounded."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from flows.orders.money import ONE, divided
from flows.trading.interfaces import VenueModel

# Wide enough for a price of 23 digits: nothing is rounded on the way.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)

# Prices whose fee is remembered.
_REMEMBERED = 1_024


def fee_of(
    model: VenueModel | None, quantity: int, price: int, liquidity: str, time_in_force: str
) -> int:
    """Fee of a fill in units of 10**-10 of the currency, rounded half-even there; a rebate is negative."""
    numerator, denominator = rate_of(model, price, liquidity, time_in_force)
    return divided(numerator * quantity, denominator)


def rate_of(
    model: VenueModel | None, price: int, liquidity: str, time_in_force: str
) -> tuple[int, int]:
    """Fee a share of a fill as a ratio of integers, exactly; its denominator is above zero."""
    if model is None:
        return 0, 1
    paid = _EXACT.divide(Decimal(price), Decimal(ONE))
    if liquidity == "auction":
        fee = model.auction_fee(at_open=time_in_force == "at_open")
    elif liquidity == "added":
        fee = model.adding_fee(paid)
    else:
        fee = model.taking_fee(paid)
    return fee.as_integer_ratio()


class Rates:
    """What a venue charges for taking.

    Parameters
    ----------
    model : VenueModel or None
        The venue; None charges nothing.
    """

    def __init__(self, model: VenueModel | None) -> None:
        self._model = model
        # Decimal arithmetic is dear, and prices come again.
        self._known: dict[int, tuple[int, int]] = {}

    def at(self, price: int) -> tuple[int, int]:
        """Fee a share at a price, as `rate_of` has it."""
        found = self._known.get(price)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[price] = rate_of(self._model, price, "removed", "day")
        return found
