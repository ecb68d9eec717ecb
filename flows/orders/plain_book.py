"""An account's book as plain orders meet it, with all that is the same for a batch reckoned once.

Whether a plain order passes and what it changes is what `flows.orders.checks` and `flows.orders.desk` say. One that is
not sure to pass changes nothing here, and goes to the desk.
"""

from flows.flow import FlowError
from flows.orders.account import Alike
from flows.orders.answers import Accepted
from flows.orders.blotter import Blotter
from flows.orders.checks import firm_means
from flows.orders.commands import Command
from flows.orders.exposure import Purse, fine
from flows.orders.limits import NO_LIMIT
from flows.orders.money import ONE
from flows.orders.order import Order

PlainOrder = tuple[int, Command, int, bool, Alike]
"""Row in its batch, the command, its `flows.orders.checks.reference_price`, whether it buys, and what duplicates of it say."""


class PlainBook:
    """An account as it is until anything but a plain order changes it; `close` comes before that, and at the end.

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
        "_most_position",
        "_most_quantity",
        "_number",
        "_orders",
        "_purse",
        "_recent",
        "_room",
        "_rows",
    )

    def __init__(self, blotter: Blotter) -> None:
        account, known = blotter.account, blotter.known
        limits, firm = account.limits, account.firm
        if limits is None:
            raise FlowError(f"no order of account {account.name!r}, which has no limits, is plain")
        # Of the orders that it has accepted, and the number of the order before the first.
        self._rows: list[int] = []
        self._number = blotter.numbers
        self._account = account
        self._blotter = blotter
        self._market = blotter.market
        self._limits = limits
        self._holdings = account.holdings
        self._recent = account.recent
        self._orders, self._ended = known.orders, known.ended
        self._room = known.maximum - len(known.orders) - len(known.ended)
        self._is_margin = limits.is_margin
        self._is_wash_refused = not limits.self_trade_allowed
        is_limited = firm is not None and firm.max_gross_notional != NO_LIMIT
        self._firm = firm if is_limited else None
        self._most_quantity = limits.max_position_quantity
        self._most_position = limits.max_position_notional * ONE
        self._most_gross = limits.max_gross_notional * ONE
        # With all money in one currency, sums need no rates of exchange.
        own = account.purses.get(limits.currency)
        self._purse = own if len(account.purses) == 1 else None
        if own is not None and limits.is_margin:
            equity = fine(own.cash) + own.value
            self._most_gross = min(self._most_gross, equity * limits.leverage // ONE)

    # A call for each of its steps would take a seventh of an order's time.
    def accept(self, asked: PlainOrder) -> bool:  # noqa: C901, PLR0911, PLR0912
        """Accept a plain order if it is sure to pass; whether it was."""
        row, command, price, is_buy, said = asked
        symbol, _, quantity, _, limit, _ = said
        order_id, orders, purse, rows = command.order_id, self._orders, self._purse, self._rows
        if (
            purse is None
            or order_id in orders
            or order_id in self._ended
            or len(rows) >= self._room
        ):
            return False
        holding = self._holdings.get(symbol)
        if holding is None:
            held = open_buy = open_sell = 0
        elif holding.purse is not purse or (
            self._is_wash_refused
            and (holding.sells if is_buy else holding.buys)
            and holding.crossed(is_buy, limit) is not None
        ):
            return False
        else:
            held, open_buy, open_sell = holding.quantity, holding.open_buy, holding.open_sell
        reference = price if limit is not None else self._market.set_aside(None, price)
        reserved = wider = 0
        if is_buy:
            # What open orders can make of the position: `Holding.worst`, and the same with this one.
            before, after = held + open_buy, held + open_buy + quantity
            if open_sell - held > before:  # noqa: PLR1730 - a call of max takes thrice the time
                before = open_sell - held
            if after > before:
                wider = after - before
                if not self._may_hold(purse, after, wider, price):
                    return False
            reserved = quantity * reference
            if not self._is_margin and reserved > fine(purse.cash) - purse.reserved:
                return False
        elif open_sell + quantity > held:
            return False
        if not self._recent.take(command.ts_event, self._limits, said):
            return False
        if holding is None:
            holding = self._account.holding(self._market.symbol(symbol), purse.currency)
        rows.append(row)
        number = self._number + len(rows)
        orders[order_id] = order = Order(command, number, holding)
        order.counted = quantity
        order.stands = True
        order.reference = reference
        if is_buy:
            order.reserved = reserved
            purse.reserved += reserved
            holding.open_buy = open_buy + quantity
            purse.widen(wider * holding.price)
        else:
            # It sells what is held: the position can become no larger.
            holding.open_sell = open_sell + quantity
        holding.stand(order_id, number, is_buy, limit)
        return True

    def close(self) -> None:
        """All that was accepted is told of, and the account forgets; the book is not used again."""
        rows, purse, blotter = self._rows, self._purse, self._blotter
        if not rows or purse is None:
            return
        self._recent.settle(self._limits)
        blotter.out.accepted.append(
            Accepted(rows, blotter.events + 1, blotter.instructions + 1, purse.currency)
        )
        blotter.numbers += len(rows)
        blotter.events += len(rows)
        blotter.instructions += len(rows)

    def _may_hold(self, purse: Purse, after: int, wider: int, price: int) -> bool:
        """Whether a position may become so large, which is so much larger than it could become before."""
        more = wider * price
        if (
            after > self._most_quantity
            or after * price > self._most_position
            or purse.gross + more > self._most_gross
        ):
            return False
        firm = self._firm
        return firm is None or firm_means(self._account, firm, self._limits, more) is None
