"""What a fill costs at a venue, before it is rounded."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from flows.orders.money import ONE
from flows.trading.interfaces import VenueModel

# Wide enough for a quantity of 23 digits times a fee of 12: nothing is rounded on the way.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def fee_of(
    model: VenueModel | None, quantity: int, price: int, liquidity: str, time_in_force: str
) -> int:
    """Fee of a fill in units of 10**-10 of the currency, rounded half-even there; a rebate is negative."""
    if model is None:
        return 0
    paid = _EXACT.divide(Decimal(price), Decimal(ONE))
    if liquidity == "auction":
        fee = model.auction_fee(at_open=time_in_force == "at_open")
    elif liquidity == "added":
        fee = model.adding_fee(paid)
    else:
        fee = model.taking_fee(paid)
    return int(_EXACT.to_integral_value(_EXACT.multiply(fee, Decimal(quantity))))
