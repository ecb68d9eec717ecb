"""What an account holds and has asked for: exact sums that each change keeps, so that a check adds up nothing.

Integers are exact in any order of summation; a sum that is kept by differences is the sum itself.
"""

from heapq import heapify, heappop, heappush

from flows.orders.money import ONE

NO_PRICE = 10**40
"""Stands for the price of a buyer who pays any."""

# More than an account can count orders.
_NUMBER_BITS = 64


class Total:
    """The sum of all accounts' ``gross`` in one currency, as fine as that."""

    __slots__ = ("gross",)

    def __init__(self) -> None:
        self.gross = 0


class Purse:
    """An account's money and exposure in one currency.

    Parameters
    ----------
    currency : str
        Of the amounts: ``cash`` is a scaled integer, the others are ``ONE`` times as fine (quantity times price).
    total : Total
        Of all accounts in that currency; changes with ``gross``.
    """

    __slots__ = ("cash", "currency", "gross", "reserved", "total", "value")

    def __init__(self, currency: str, total: Total) -> None:
        self.currency = currency
        self.total = total
        self.cash = 0
        # What open buy orders may cost.
        self.reserved = 0
        # What positions are worth, and the most that they can be worth once open orders are filled.
        self.value = 0
        self.gross = 0

    def widen(self, change: int) -> None:
        """Positions and open orders can be worth so much more together; less where negative."""
        self.gross += change
        self.total.gross += change


class Standing(dict[str, int]):
    """An account's standing orders on one side of a symbol: identifier to rank and number, as one integer.

    The smallest rank is the best, and of equals the smallest number. Garbage is not looked for in integers, as it is in
    tuples.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        # Of those that stand and some that did; None until the best is asked for, as it is of few.
        self._heap: list[tuple[int, str]] | None = None

    def add(self, order_id: str, rank: int, number: int) -> None:
        """An order stands."""
        self[order_id] = place = (rank << _NUMBER_BITS) + number
        heap = self._heap
        if heap is None:
            return
        if len(heap) > 2 * len(self) + 16:
            self._heap = None
        else:
            heappush(heap, (place, order_id))

    def best(self) -> tuple[int, str] | None:
        """Rank and identifier of the best order; None where none stands."""
        heap = self._heap
        if heap is None:
            self._heap = heap = [(place, order_id) for order_id, place in self.items()]
            heapify(heap)
        while heap:
            place, order_id = heap[0]
            if self.get(order_id) == place:
                return place >> _NUMBER_BITS, order_id
            heappop(heap)
        return None


class Holding:
    """An account's position in a symbol, and what its open orders may make of it.

    Parameters
    ----------
    symbol : str
        What is held.
    purse : Purse
        That of the instrument's currency; it keeps the sums.
    """

    __slots__ = ("buys", "open_buy", "open_sell", "price", "purse", "quantity", "sells", "symbol")

    def __init__(self, symbol: str, purse: Purse) -> None:
        self.symbol = symbol
        self.purse = purse
        self.quantity = 0
        self.open_buy = 0
        self.open_sell = 0
        # What it is valued at: the mark; before there is one the newest order's or fill's price.
        self.price = 0
        self.buys = Standing()
        self.sells = Standing()

    @property
    def worst(self) -> int:
        """The largest that the position can become, long or short, as open orders are filled."""
        # The larger of the two ends is never below zero, as no open quantity is.
        long, short = self.quantity + self.open_buy, self.open_sell - self.quantity
        return max(long, short)

    def revalue(self, price: int) -> None:
        """The position has another price."""
        change = price - self.price
        self.purse.value += self.quantity * change
        self.purse.widen(self.worst * change)
        self.price = price

    def open(self, is_buy: bool, quantity: int) -> None:  # noqa: FBT001 - a side; keywords cost a call's time
        """So much more is open on a side; less where negative."""
        held, buy, sell = self.quantity, self.open_buy, self.open_sell
        long, short = held + buy, sell - held
        before = max(long, short)
        if is_buy:
            self.open_buy = buy + quantity
            long += quantity
        else:
            self.open_sell = sell + quantity
            short += quantity
        change = max(long, short) - before
        if change:
            self.purse.widen(change * self.price)

    def trade(self, quantity: int) -> None:
        """The position changes by so much."""
        before = self.worst
        self.quantity += quantity
        self.purse.value += quantity * self.price
        self.purse.widen((self.worst - before) * self.price)

    def move(self, purse: Purse) -> None:
        """The instrument's currency has become another."""
        value, gross = self.quantity * self.price, self.worst * self.price
        self.purse.value -= value
        self.purse.widen(-gross)
        purse.value += value
        purse.widen(gross)
        self.purse = purse

    def crossed(self, is_buy: bool, limit: int | None) -> str | None:  # noqa: FBT001 - as in `open`
        """The account's own standing order that an order on this side would meet; None for none."""
        if is_buy:
            best = self.sells.best()
            return best[1] if best is not None and best[0] <= (limit or NO_PRICE) else None
        best = self.buys.best()
        return best[1] if best is not None and -best[0] >= (limit or 0) else None

    def stand(self, order_id: str, number: int, is_buy: bool, limit: int | None) -> None:  # noqa: FBT001 - as in `open`
        """An order stands at its limit, or at any price."""
        if is_buy:
            self.buys.add(order_id, -(limit or NO_PRICE), number)
        else:
            self.sells.add(order_id, limit or 0, number)

    def withdraw(self, order_id: str, is_buy: bool) -> None:  # noqa: FBT001 - as in `open`
        """An order stands no more."""
        (self.buys if is_buy else self.sells).pop(order_id, None)


def fine(amount: int) -> int:
    """An amount of cash as fine as the other sums of a purse."""
    return amount * ONE
