"""An account's book as plain orders meet it, with all that is the same for a batch reckoned once.

Whether a plain order passes and what it changes is what `flows.orders.checks` and `flows.orders.desk` say. One that is
not sure to pass changes nothing here, and goes to the desk.
"""

from collections.abc import Sequence
from itertools import repeat

from flows.flow import FlowError
from flows.orders.account import Alike, alike
from flows.orders.blotter import Blotter
from flows.orders.checks import firm_means
from flows.orders.commands import Command
from flows.orders.exposure import Holding, Purse, fine
from flows.orders.limits import NO_LIMIT
from flows.orders.money import ONE
from flows.orders.order import Order

PlainOrder = tuple[int, Command, int, bool]
"""Row in its batch, the command, its `flows.orders.checks.reference_price`, and whether it buys."""

_ORDER_ID = Command._fields.index("order_id")


class PlainBook:
    """An account as it is until anything but a plain order changes it.

    Parameters
    ----------
    blotter : Blotter
        The account's; it has limits.
    """

    __slots__ = (
        "_account",
        "_blotter",
        "_ended",
        "_firm",
        "_holdings",
        "_is_margin",
        "_is_wash_refused",
        "_limits",
        "_market",
        "_most_gross",
        "_most_orders",
        "_most_position",
        "_orders",
        "_out",
        "_purse",
        "_recent",
    )

    def __init__(self, blotter: Blotter) -> None:
        account, known = blotter.account, blotter.known
        limits, firm = account.limits, account.firm
        if limits is None:
            raise FlowError(f"no order of account {account.name!r}, which has no limits, is plain")
        self._account = account
        self._blotter = blotter
        self._market = blotter.market
        self._limits = limits
        self._holdings = account.holdings
        self._recent = account.recent
        self._orders, self._ended, self._most_orders = known.orders, known.ended, known.maximum
        self._out = blotter.out
        self._is_margin = limits.is_margin
        self._is_wash_refused = not limits.self_trade_allowed
        is_limited = firm is not None and firm.max_gross_notional != NO_LIMIT
        self._firm = firm if is_limited else None
        self._most_position = limits.max_position_notional * ONE
        self._most_gross = limits.max_gross_notional * ONE
        # With all money in one currency, sums need no rates of exchange.
        own = account.purses.get(limits.currency)
        self._purse = own if len(account.purses) == 1 else None
        if own is not None and limits.is_margin:
            equity = fine(own.cash) + own.value
            self._most_gross = min(self._most_gross, equity * limits.leverage // ONE)

    def accept(self, asked: PlainOrder) -> bool:
        """Accept a plain order if it is sure to pass; whether it was."""
        _, command, price, is_buy = asked
        said = alike(command)
        symbol, _, quantity, _, limit, _ = said
        holding, purse = self._holdings.get(symbol), self._purse
        if purse is None or not self._is_new(command, said):
            return False
        if holding is None:
            # As good as none, until the order has passed.
            holding = Holding(symbol, purse)
        elif holding.purse is not purse or not self._has_no_other_side(
            holding, limit, is_buy=is_buy
        ):
            return False
        if is_buy:
            if not self._can_buy(holding, purse, (quantity, limit, price)):
                return False
        elif holding.open_sell + quantity > holding.quantity:
            return False
        self._recent.add(command.ts_event, self._limits, said)
        self._put(purse, (asked,), (said,))
        return True

    def accept_all(self, asked: Sequence[PlainOrder]) -> bool:
        """Accept all plain orders that a batch has for the account, in order, if they are sure to pass together.

        Each is checked as if those before it had used up the most that they can. Whether they were accepted: none
        is where one might not pass, though it may alone.
        """
        purse, firm = self._purse, self._firm
        if purse is None or firm is not None:
            return False
        commands = [command for _, command, _, _ in asked]
        said = list(map(alike, commands))
        if not self._are_new(commands, said) or not self._all_pass(purse, asked, said):
            return False
        self._recent.add_all([command.ts_event for command in commands], self._limits, said)
        self._put(purse, asked, said)
        return True

    def _put(self, purse: Purse, asked: Sequence[PlainOrder], said: Sequence[Alike]) -> None:
        """Orders have passed: they stand, tie up what they may need, and are told of."""
        blotter, account, market = self._blotter, self._account, self._market
        orders, holdings, currency = self._orders, self._holdings, purse.currency
        number = blotter.numbers
        for (_, command, price, is_buy), (symbol, _, quantity, _, limit, _) in zip(
            asked, said, strict=True
        ):
            holding = holdings.get(symbol)
            if holding is None:
                holding = account.holding(market.symbol(symbol), currency)
            number += 1
            order = Order(command, number, holding)
            orders[order.order_id] = order
            order.counted = quantity
            order.stands = True
            order.reference = reference = market.set_aside(limit, price)
            if is_buy:
                order.reserved = reserved = quantity * reference
                purse.reserved += reserved
            holding.open(is_buy, quantity)
            holding.stand(order.order_id, number, is_buy, limit)
        blotter.numbers = number
        count = len(asked)
        events = range(blotter.events + 1, blotter.events + count + 1)
        instructions = range(blotter.instructions + 1, blotter.instructions + count + 1)
        blotter.events += count
        blotter.instructions += count
        rows = [at for at, _, _, _ in asked]
        self._out.accepted += zip(rows, events, instructions, repeat(currency, count), strict=True)

    def _are_new(self, commands: Sequence[Command], said: Sequence[Alike]) -> bool:
        """As `_is_new` says of each, once those before it are there."""
        orders, ended = self._orders, self._ended
        if len(orders) + len(ended) + len(commands) > self._most_orders:
            return False
        named = {command[_ORDER_ID] for command in commands}
        return (
            len(named) == len(commands)
            and orders.keys().isdisjoint(named)
            and ended.keys().isdisjoint(named)
            and self._recent.has_room(said, commands[0].ts_event, self._limits)
        )

    def _all_pass(self, purse: Purse, asked: Sequence[PlainOrder], said: Sequence[Alike]) -> bool:
        """Whether no two of them can trade with each other or with what stands, and all limits hold to the last."""
        holdings, market, is_wash_refused = self._holdings, self._market, self._is_wash_refused
        most_quantity, most_position = self._limits.max_position_quantity, self._most_position
        bought: dict[str, int] = {}
        sold: dict[str, int] = {}
        gross = needed = 0
        for (_, _, price, is_buy), (symbol, _, quantity, _, limit, _) in zip(
            asked, said, strict=True
        ):
            holding = holdings.get(symbol)
            if holding is None:
                # As good as none.
                held, valued, sellable = 0, market.symbol(symbol).price or 0, 0
            elif holding.purse is not purse or (
                is_wash_refused and (holding.sells if is_buy else holding.buys).known
            ):
                return False
            else:
                held, valued = holding.quantity + holding.open_buy, holding.price
                sellable = holding.quantity - holding.open_sell
            if is_buy:
                bought[symbol] = more = bought.get(symbol, 0) + quantity
                if held + more > most_quantity or (held + more) * price > most_position:
                    return False
                gross += quantity * max(price, valued)
                needed += quantity * market.set_aside(limit, price)
            else:
                sold[symbol] = more = sold.get(symbol, 0) + quantity
                if more > sellable:
                    return False
        return (
            purse.gross + gross <= self._most_gross
            and (self._is_margin or needed <= fine(purse.cash) - purse.reserved)
            and (not is_wash_refused or bought.keys().isdisjoint(sold))
        )

    def _is_new(self, command: Command, said: Alike) -> bool:
        """Whether it is no retry, there is room for it, and it comes neither too fast nor a second time."""
        orders, ended, order_id = self._orders, self._ended, command[_ORDER_ID]
        if order_id in orders or order_id in ended or len(orders) + len(ended) >= self._most_orders:
            return False
        most, recent = self._limits.max_orders_per_second, self._recent
        if most is not None and recent.count(command.ts_event) >= most:
            return False
        return not self._limits.duplicate_window_ns or recent.last(said) is None

    def _has_no_other_side(self, holding: Holding, limit: int | None, *, is_buy: bool) -> bool:
        """Whether it cannot trade with the account's own orders, or may."""
        if not self._is_wash_refused or not (holding.sells if is_buy else holding.buys).known:
            return True
        return holding.crossed(is_buy, limit) is None

    def _can_buy(self, holding: Holding, purse: Purse, asked: tuple[int, int | None, int]) -> bool:
        """Whether a purchase (quantity, limit, price) keeps the limits on what is held, and can be paid for."""
        quantity, limit, price = asked
        before, after = holding.worst, holding.quantity + holding.open_buy + quantity
        if after > before:
            if after > self._limits.max_position_quantity or after * price > self._most_position:
                return False
            more = (after - before) * price
            if purse.gross + more > self._most_gross:
                return False
            firm = self._firm
            if firm is not None and firm_means(self._account, firm, self._limits, more) is not None:
                return False
        if self._is_margin:
            return True
        needed = self._market.set_aside(limit, quantity * price)
        return needed <= fine(purse.cash) - purse.reserved
