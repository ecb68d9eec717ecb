"""An account as checks see it: limits, cash, positions, open orders, and what it asked for a moment ago."""

from collections import deque
from dataclasses import replace
from itertools import islice
from typing import Any

from flows.orders.commands import Command
from flows.orders.exposure import Holding, Purse, fine
from flows.orders.limits import NO_LIMIT, NOTIONALS, Limits, together
from flows.orders.market import Market, Quoted
from flows.orders.money import minor_unit, product

_SECOND_NS = 1_000_000_000

Alike = tuple[Any, ...]
"""What two orders have in common that are duplicates."""


ALIKE = slice(Command._fields.index("symbol"), Command._fields.index("stop_price") + 1)
"""Where that stands in a command."""


def alike(command: Command) -> Alike:
    """What makes an order equal to another: instrument, side, quantity, kind and prices."""
    values: Alike = command
    return values[ALIKE]


class RecentOrders:
    """Entry times of an account's accepted orders: for the rate limit, and for duplicates.

    Parameters
    ----------
    maximum : int
        Bound of each of the two; the oldest leave first.
    """

    __slots__ = ("_alike", "_maximum", "_now", "_oldest", "_times")

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._now = -NO_LIMIT
        self._times: deque[int] = deque(maxlen=maximum)
        self._alike: dict[Alike, int] = {}
        # No duplicate that is known was entered before.
        self._oldest = self._now

    def count(self, ts_entry: int) -> int:
        """How many were entered within the second that ends then."""
        since = max(self._now, ts_entry) - _SECOND_NS
        times = self._times
        while times and times[0] <= since:
            times.popleft()
        return len(times)

    def last(self, order: Alike) -> int | None:
        """When an equal order was entered last."""
        return self._alike.get(order)

    def add(self, ts_entry: int, limits: Limits, order: Alike | None) -> None:
        """An order was accepted, or its replacement (without ``order``); what no limit needs is not kept."""
        now = self._now
        if ts_entry > now:
            self._now = now = ts_entry
        if limits.max_orders_per_second is not None:
            self._times.append(now)
        if limits.duplicate_window_ns and order is not None:
            known, before = self._alike, now - limits.duplicate_window_ns
            if self._oldest < before or len(known) >= self._maximum:
                self._forget(before, self._maximum - 1)
            # Known ones are in order of their last entry.
            known.pop(order, None)
            known[order] = now

    def take(self, ts_entry: int, limits: Limits, order: Alike) -> bool:
        """As `add`, of an order that comes neither too fast nor a second time; false, and nothing is added, for any other.

        `settle` has to follow the last one.
        """
        now, times, known = self._now, self._times, self._alike
        if ts_entry > now:  # noqa: PLR1730 - a call of max takes thrice the time
            now = ts_entry
        most = limits.max_orders_per_second
        if most is not None and len(times) >= most and self.count(now) >= most:
            return False
        if limits.duplicate_window_ns:
            if len(known) >= self._maximum and order not in known:
                self._forget(now - limits.duplicate_window_ns, self._maximum - 1)
            # The order is looked for and added at once: its hash takes longest.
            count = len(known)
            known.setdefault(order, now)
            if len(known) == count:
                return False
        if most is not None:
            times.append(now)
        self._now = now
        return True

    def settle(self, limits: Limits) -> None:
        """What no limit needs after the last `take` is not kept."""
        if limits.max_orders_per_second is not None:
            self.count(self._now)
        before = self._now - limits.duplicate_window_ns
        if limits.duplicate_window_ns and self._oldest < before:
            self._forget(before, self._maximum)

    def saved(self) -> list[Any]:
        """The state as JSON values."""
        return [self._now, list(self._times), [[*key, time] for key, time in self._alike.items()]]

    def restore(self, values: list[Any]) -> None:
        """Take over what `saved` gave."""
        self._now = values[0]
        self._times.extend(values[1])
        self._alike = {tuple(key): time for *key, time in values[2]}

    def _forget(self, before: int, most: int) -> None:
        """Keep duplicates that were entered from then on, and so many at most."""
        known = self._alike
        surplus = len(known) - most
        gone, self._oldest = 0, before
        for time in known.values():
            if time >= before and gone >= surplus:
                self._oldest = time
                break
            gone += 1
        for order in list(islice(known, gone)):
            del known[order]


class Account:
    """One account's book.

    Parameters
    ----------
    name : str
        The account.
    market : Market
        What instruments cost and are.
    max_recent : int
        Bound of what is remembered for rate limit and duplicates.
    """

    __slots__ = ("_limits", "firm", "holdings", "market", "name", "own", "purses", "recent")

    def __init__(self, name: str, market: Market, max_recent: int) -> None:
        self.name = name
        self.market = market
        self.own: Limits | None = None
        self.purses: dict[str, Purse] = {}
        self.holdings: dict[str, Holding] = {}
        self.recent = RecentOrders(max_recent)
        self.firm: Limits | None = None
        self._limits: Limits | None = None

    def allow(self, own: Limits | None, firm: Limits | None) -> None:
        """What the account may do from here on; ``own`` is None while nobody has declared it."""
        self.own, self.firm, self._limits = own, firm, None

    @property
    def limits(self) -> Limits | None:
        """What holds for the account; None where it is unknown.

        Where the firm's limits are in another currency and no rate is known, they allow nothing.
        """
        if self._limits is not None:
            return self._limits
        own, firm = self.own, self.firm
        if own is None:
            return None
        if firm is None or firm.currency == own.currency:
            self._limits = together(own, firm)
            return self._limits
        notionals: dict[str, Any] = {name: self._in_own_currency(firm, name) for name in NOTIONALS}
        return together(own, replace(firm, **notionals))

    def holding(self, symbol: Quoted, currency: str) -> Holding:
        """What it holds of a symbol that is traded in a currency."""
        found = self.holdings.get(symbol.name)
        if found is None:
            found = self.holdings[symbol.name] = Holding(symbol.name, self.purse(currency))
            symbol.holdings.append(found)
            if symbol.price is not None:
                found.revalue(symbol.price)
        elif found.purse.currency != currency:
            found.move(self.purse(currency))
        return found

    def purse(self, currency: str) -> Purse:
        """Its money in a currency."""
        found = self.purses.get(currency)
        if found is None:
            found = self.purses[currency] = Purse(currency, self.market.total(currency))
        return found

    def book_fill(
        self, symbol: Quoted, side: str, fill: tuple[int, int, int], currency: str
    ) -> None:
        """Book a fill: quantity, price and fees; the consideration is rounded half-even to the minor unit."""
        quantity, price, fees = fill
        holding = self.holding(symbol, currency)
        if symbol.price is None:
            holding.revalue(price)
        consideration = product(quantity, price, minor_unit(currency))
        purse = self.purse(currency)
        if side == "buy":
            purse.cash -= consideration + fees
            holding.trade(quantity)
        else:
            purse.cash += consideration - fees
            holding.trade(-quantity)

    def worth(self) -> tuple[int, int, int] | None:
        """What it can spend and owns, in its currency.

        Returns
        -------
        tuple of int, or None
            Cash less open buys; equity, which is cash and positions; and the most that all positions together can
            be worth as open orders are filled, whatever their sign. All ``ONE`` times as fine as a scaled integer.
            None where something that lessens them has no rate of exchange.
        """
        own = "" if self.own is None else self.own.currency
        if len(self.purses) == 1 and own in self.purses:
            purse = self.purses[own]
            held = fine(purse.cash)
            return held - purse.reserved, held + purse.value, purse.gross
        cash = equity = gross = 0
        for currency, purse in self.purses.items():
            held = fine(purse.cash)
            parts = (held - purse.reserved, held + purse.value, purse.gross)
            if currency != own:
                converted = [self.market.converted(part, currency, own) for part in parts]
                if None in converted:
                    if parts[0] < 0 or parts[1] < 0 or parts[2]:
                        return None
                    continue
                parts = (converted[0] or 0, converted[1] or 0, converted[2] or 0)
            cash += parts[0]
            equity += parts[1]
            gross += parts[2]
        return cash, equity, gross

    def saved(self) -> list[Any]:
        """The state as JSON values, but for limits and open orders, which others keep."""
        return [
            [[one.currency, one.cash] for one in self.purses.values()],
            [
                [one.symbol, one.purse.currency, one.quantity, one.price]
                for one in self.holdings.values()
            ],
            self.recent.saved(),
        ]

    def restore(self, values: list[Any]) -> None:
        """Take over what `saved` gave."""
        for currency, cash in values[0]:
            self.purse(currency).cash = cash
        for symbol, currency, quantity, price in values[1]:
            holding = self.holding(self.market.symbol(symbol), currency)
            holding.revalue(price)
            holding.trade(quantity)
        self.recent.restore(values[2])

    def firm_gross(self) -> int | None:
        """The most that all positions of all accounts here can be worth, in the firm's currency; as fine as `worth`.

        None where some of it has no rate of exchange.
        """
        into = "" if self.firm is None else self.firm.currency
        gross = 0
        for currency, total in self.market.totals.items():
            part = self.market.converted(total.gross, currency, into)
            if part is None:
                return None
            gross += part
        return gross

    def _in_own_currency(self, firm: Limits, name: str) -> int:
        limit: int = getattr(firm, name)
        if limit == NO_LIMIT or self.own is None:
            return limit
        return self.market.converted(limit, firm.currency, self.own.currency) or 0
