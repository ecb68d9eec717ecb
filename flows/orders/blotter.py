"""An account's orders: what is told of them, what the execution is told to do, and what they tie up."""

from typing import Any

from flows.orders.account import Account
from flows.orders.answers import Outbox, Row
from flows.orders.checks import reference_price
from flows.orders.commands import Command
from flows.orders.market import Market, Quoted
from flows.orders.money import divided
from flows.orders.order import KnownOrders, Order
from flows.orders.order_columns import PackedOrders
from flows.orders.rejection import Rejection
from flows.orders.states import ENDED, REJECTED
from schemas.sessions import DAY_NS

ACTIVE = ("market", "limit", "pegged")
"""Order types that trade at once; the others wait until they are triggered."""


def _stretch(first: str, last: str) -> slice:
    return slice(Command._fields.index(first), Command._fields.index(last) + 1)


# What instructions repeat of a command in the same order.
_PRICES = _stretch("limit_price", "display_quantity")
_WHERE = _stretch("algorithm", "venue")
_LOTS = _stretch("lot_method", "lots")


class Blotter:
    """One account's orders.

    Parameters
    ----------
    account : Account
        Its book.
    market : Market
        Prices, instruments and market time.
    known : KnownOrders
        Its orders.
    out : Outbox
        Takes the rows of all accounts.
    """

    __slots__ = ("account", "events", "instructions", "known", "market", "numbers", "out")

    def __init__(self, account: Account, market: Market, known: KnownOrders, out: Outbox) -> None:
        self.account = account
        self.market = market
        self.known = known
        self.out = out
        # Counts of rows given and of orders accepted.
        self.events = 0
        self.instructions = 0
        self.numbers = 0

    @property
    def day(self) -> int:
        """Market day: days since 1970 in UTC."""
        return self.market.now // DAY_NS

    def tell(
        self,
        order: Order,
        event: str,
        execution_id: str | None = None,
        reason: str | None = None,
        refused: Rejection | None = None,
    ) -> None:
        """Tell what happened to an order, and how it stands after it."""
        self.events += 1
        terms, filled = order.terms, order.filled
        self.out.events.append(
            (
                terms.account,
                self.market.now,
                self.events,
                order.order_id,
                terms.client_order_id,
                order.parent_order_id,
                event,
                order.status,
                terms.symbol,
                terms.side,
                terms.order_type,
                terms.time_in_force,
                terms.quantity,
                terms.limit_price,
                terms.stop_price,
                filled,
                0 if order.status in ENDED else order.quantity - filled,
                divided(order.cost, filled) if filled else None,
                execution_id,
                terms.strategy,
                order.venue,
                reason if refused is None else refused.reason,
                *(_NOTHING if refused is None else refused[:3]),
                terms.user,
                terms.correlation_id,
            )
        )

    def tell_of_command(
        self, command: Command, event: str, status: str, refused: Rejection
    ) -> None:
        """Tell of a command that came to nothing: it made no order, or names one that is not known whole."""
        self.events += 1
        is_new = event == REJECTED
        self.out.events.append(
            (
                command.account,
                self.market.now,
                self.events,
                command.order_id,
                command.client_order_id,
                None,
                event,
                status,
                command.symbol,
                command.side if is_new else None,
                command.order_type if is_new else None,
                command.time_in_force if is_new else None,
                command.quantity if is_new else None,
                command.limit_price if is_new else None,
                command.stop_price if is_new else None,
                0,
                0,
                None,
                None,
                command.strategy,
                None,
                refused.reason,
                *refused[:3],
                command.user,
                command.correlation_id,
            )
        )

    def tell_of_report(
        self, known: dict[str, Any], event: str, status: str, reason: str | None
    ) -> None:
        """Tell of a report or fill whose order is not known whole, with what the report says itself."""
        self.events += 1
        self.out.events.append(
            (
                self.account.name,
                self.market.now,
                self.events,
                known["order_id"],
                known.get("client_order_id"),
                known.get("parent_order_id"),
                event,
                status,
                known["symbol"],
                known.get("side"),
                *(None,) * 5,
                0,
                0,
                None,
                known.get("execution_id"),
                known.get("strategy", ""),
                known["venue"],
                reason,
                *_NOTHING,
                None,
                known.get("correlation_id"),
            )
        )

    def instruct(self, order: Order, action: str, terms: Command) -> None:
        """Tell the execution what to do with an order."""
        self.instructions += 1
        values: Row = terms
        self.out.instructions.append(
            (
                terms.symbol,
                self.market.now,
                terms.account,
                self.instructions,
                action,
                order.order_id,
                terms.client_order_id,
                order.parent_order_id,
                terms.side,
                # What one exit has filled the execution takes off the other, however much the order system knows of it.
                (terms.quantity or 0) + order.taken if order.is_exit else terms.quantity,
                *values[_PRICES],
                terms.ts_expire,
                *values[_WHERE],
                *values[_LOTS],
                terms.order_type,
                terms.time_in_force,
                order.currency,
                terms.strategy,
                terms.ts_event,
                terms.correlation_id,
            )
        )

    def accept(self, terms: Command, parent_order_id: str | None = None) -> Order:
        """Remember an order and tell of it; it ties up nothing yet."""
        name = terms.symbol or ""
        # Asked for, and not what was looked up last: after a restart that was nothing yet.
        currency = self.market.currency(name)
        symbol = self.market.symbol(name)
        holding = self.account.holdings.get(name)
        if holding is None or (currency is not None and holding.purse.currency != currency):
            holding = self.account.holding(symbol, currency or "")
        self.numbers += 1
        order = Order(terms, self.numbers, holding, parent_order_id)
        self.known.orders[order.order_id] = order
        self.tell(order, order.status)
        return order

    def send(self, order: Order) -> None:
        """Have an accepted order executed."""
        terms = order.terms
        self.value(order)
        if order.counts:
            self.recount(order)
        if terms.order_type in ACTIVE:
            self.stand(order)
        self.instruct(order, "new", terms)

    def ask(self, order: Order, terms: Command) -> None:
        """Ask the execution for other terms."""
        order.pending = (*order.pending, terms)
        self.value(order)
        self.recount(order)
        self.instruct(order, "replace", terms)

    def cancel(self, order: Order) -> None:
        """Ask the execution to cancel an order."""
        order.cancelling = True
        self.instruct(order, "cancel", order.terms)

    def value(self, order: Order) -> None:
        """Take the price at which an order counts, and where its symbol has no mark its position too.

        That is the dearest of its terms and of those that are asked for: any of them may be the one that is filled. An exit
        that counts for both counts at the dearer of the two.
        """
        symbol = self.market.symbol(order.holding.symbol)
        if symbol.price is None:
            order.holding.revalue(reference_price(order.terms, symbol) or 0)
        partner = self.known.orders.get(order.partner_id or "")
        possible = [order.terms, *order.pending]
        if partner is not None and partner.is_open:
            possible += [partner.terms, *partner.pending]
        order.reference = max(self._set_aside(one, symbol) for one in possible)
        if partner is not None and partner.is_open:
            partner.reference = order.reference
            self.recount(partner)

    def stand(self, order: Order) -> None:
        """An order can meet others of its account, at its limit or any price."""
        order.stands = True
        terms = order.terms
        order.holding.stand(order.order_id, order.number, terms.side == "buy", terms.limit_price)

    def recount(self, order: Order) -> None:
        """Bring what an order ties up in line with what is open of it."""
        if not order.counts or order.status in ENDED:
            quantity = 0
        else:
            quantity = (order.most if order.pending else order.terms.quantity or 0) - order.filled
        is_buy = order.terms.side == "buy"
        if quantity != order.counted:
            order.holding.open(is_buy, quantity - order.counted)
            order.counted = quantity
        if is_buy:
            reserved = quantity * order.reference
            self.account.purses[order.currency].reserved += reserved - order.reserved
            order.reserved = reserved

    def end(
        self, order: Order, event: str, execution_id: str | None = None, reason: str | None = None
    ) -> None:
        """An order has ended."""
        order.step(event)
        if reason is None:
            reason = order.outdated
        order.pending, order.cancelling, order.ending = (), False, None
        self.recount(order)
        if order.stands:
            order.stands = False
            order.holding.withdraw(order.order_id, order.is_buy)
        self.tell(order, event, execution_id, reason)
        self.known.end(order, self.day)

    def saved(self) -> list[Any]:
        """The state as JSON values, but for the orders that are kept whole: their count."""
        counts = [self.events, self.instructions, self.numbers]
        return [counts, self.account.saved(), len(self.known.orders), self.known.saved()]

    def restore(self, values: list[Any], orders: PackedOrders) -> None:
        """Take over what `saved` gave, and the orders."""
        self.events, self.instructions, self.numbers = values[0]
        self.account.restore(values[1])
        own = orders.take(values[2], self.account.holdings)
        self.known.restore(own, values[3])
        for order in own:
            is_buy = order.is_buy
            order.holding.open(is_buy, order.counted)
            if is_buy:
                self.account.purse(order.currency).reserved += order.reserved
            if order.stands:
                self.stand(order)

    def _set_aside(self, terms: Command, symbol: Quoted) -> int:
        """What is set aside for one share under some terms."""
        return self.market.set_aside(terms.limit_price, reference_price(terms, symbol) or 0)


_NOTHING = (None, None, None)
