"""A position: what an account holds of a symbol for a strategy in a currency, and what it has earned with it."""

from flows.orders.lots import Lots
from flows.orders.money import LARGEST, ONE, divided, minor_unit, product

LIMIT = LARGEST // 4
"""Beyond this nothing is booked: sums and differences of two such numbers can still be written."""


class Position:
    """Lots and running sums; amounts are scaled integers (`flows.orders.money`).

    Parameters
    ----------
    account, strategy, symbol, currency : str
        Whose and what.
    """

    __slots__ = (
        "account",
        "currency",
        "dividends",
        "fees",
        "lots",
        "mark_told",
        "realised",
        "strategy",
        "symbol",
        "ts_told",
        "unit",
    )

    def __init__(self, account: str, strategy: str, symbol: str, currency: str) -> None:
        self.account = account
        self.strategy = strategy
        self.symbol = symbol
        self.currency = currency
        self.unit = minor_unit(currency)
        self.lots = Lots(self.unit)
        self.realised = 0
        self.dividends = 0
        self.fees = 0
        # Market time and mark of the newest row that was told of it.
        self.ts_told = 0
        self.mark_told: int | None = None

    @property
    def average_cost(self) -> int | None:
        """Cost of one, rounded half-even at ten decimals; None where flat, or where it cannot be written."""
        quantity, cost = self.lots.quantity, self.lots.cost
        if not quantity:
            return None
        average = divided(cost * ONE, quantity) if quantity > 0 else divided(-cost * ONE, -quantity)
        return average if abs(average) <= LARGEST else None

    def value(self, mark: int | None) -> int | None:
        """What it is worth at a mark, rounded half-even to the minor unit; None where nothing can be said."""
        quantity = self.lots.quantity
        if not quantity:
            return 0
        if mark is None:
            return None
        worth = product(quantity, mark, self.unit)
        return worth if abs(worth) <= LIMIT else None

    def bears(self, quantity: int, amount: int, fees: int) -> bool:
        """Whether a fill leaves all sums within `LIMIT`."""
        lots = self.lots
        amounts = abs(lots.cost) + abs(self.realised) + abs(amount) + abs(self.fees) + abs(fees)
        return amounts <= LIMIT and abs(lots.quantity) + abs(quantity) <= LIMIT
