"""Commands: what the order system does with a new order, a replacement and a cancellation."""

from flows.orders import exits
from flows.orders.account import alike
from flows.orders.blotter import Blotter
from flows.orders.checks import check, check_replacement
from flows.orders.commands import Command, replaced, words
from flows.orders.money import text
from flows.orders.order import Order
from flows.orders.rejection import Rejection
from flows.orders.states import CANCEL_REJECTED, REJECTED, REPLACE_REJECTED, UNKNOWN
from schemas.order_ids import EXIT_SUFFIXES, order_id_of

MAX_PENDING = 16
"""Replacements of one order that wait for an answer: bounds the state of an order that no venue answers for."""

_CLIENT_ORDER_ID = "client_order_id"
_CANCELLABLE = "open, and not being cancelled"

_ONLY_OF = {
    "stop_price": ("stop", "stop_limit"),
    "trail_amount": ("trailing_stop",),
    "trail_percent": ("trailing_stop",),
    "peg_offset": ("pegged",),
}
"""What a replacement may say of some order types only."""


def take(blotter: Blotter, command: Command) -> None:
    """Carry a command out, or say why not."""
    kind = command.command
    if kind == "new":
        _new(blotter, command)
    elif kind == "cancel":
        _cancel(blotter, command)
    elif kind == "replace":
        _replace(blotter, command)
    else:
        _cancel_all(blotter, command)


def _new(blotter: Blotter, command: Command) -> None:
    order_id = order_id_of(command.account, command.client_order_id)
    if command.order_id != order_id:
        if command.order_id:
            why = f"the order's identifier must be {order_id}, as its client's gives, or empty"
            refused = Rejection("order_id", order_id, command.order_id, why)
            blotter.tell_of_command(command, REJECTED, REJECTED, refused)
            return
        command = command._replace(order_id=order_id)
    known, account = blotter.known, blotter.account
    if order_id in known.orders or order_id in known.ended:
        _again(blotter, command)
        return
    no_place = _no_place(blotter, command)
    if no_place is not None:
        blotter.tell_of_command(command, REJECTED, REJECTED, no_place)
        return
    refusal = check(account, blotter.market, command)
    if refusal is not None:
        known.refuse(order_id, REJECTED, words(command), blotter.day)
        blotter.tell_of_command(command, REJECTED, REJECTED, refusal)
        return
    order = blotter.accept(command)
    limits = account.limits
    if limits is not None:
        account.recent.add(command.ts_event, limits, alike(command))
    if command.order_class == "oco":
        order.counts = False
        exits.make(blotter, order, order.quantity)
    else:
        blotter.send(order)


def _again(blotter: Blotter, command: Command) -> None:
    """A client order id comes a second time: a retry changes nothing and says nothing; another order is refused."""
    if blotter.known.is_same(command.order_id, words(command)):
        return
    client = command.client_order_id
    why = f"client order id {client} was given to another order; that one stays as it is"
    refused = Rejection(_CLIENT_ORDER_ID, "given to no other order", client, why)
    order = blotter.known.orders.get(command.order_id)
    if order is not None:
        blotter.tell(order, REJECTED, refused=refused)
    else:
        status = blotter.known.status(command.order_id)
        blotter.tell_of_command(command, REJECTED, status, refused)


def _no_place(blotter: Blotter, command: Command) -> Rejection | None:
    known = blotter.known
    is_full = len(known.orders) + len(known.ended) >= known.maximum
    if is_full and not known.has_room(blotter.day):
        most = str(blotter.known.maximum)
        why = (
            f"the account has {most} orders that are open or ended on this market day (max_orders)"
        )
        return Rejection("max_orders", most, most, why)
    if command.order_class == "simple" and not command.client_order_id.endswith(EXIT_SUFFIXES):
        return None
    client = exits.taken(blotter, command)
    if client is None:
        return None
    why = f"client order id {client} is that of an exit"
    return Rejection(_CLIENT_ORDER_ID, "given to no other order", client, why)


def _replace(blotter: Blotter, command: Command) -> None:
    order = _open_order(blotter, command, REPLACE_REJECTED)
    if order is None:
        return
    refused = _not_replaceable(order, command)
    if refused is None:
        terms = replaced(order.pending[-1] if order.pending else order.terms, command)
        refused = _checked(blotter, order, terms)
        if refused is None:
            limits = blotter.account.limits
            if limits is not None:
                blotter.account.recent.add(command.ts_event, limits, None)
            blotter.ask(order, terms)
            return
    order.step(REPLACE_REJECTED)
    blotter.tell(order, REPLACE_REJECTED, refused=refused)


def _not_replaceable(order: Order, command: Command) -> Rejection | None:
    quantity, kind = command.quantity, order.terms.order_type
    strange = [
        name
        for name, kinds in _ONLY_OF.items()
        if getattr(command, name) is not None and kind not in kinds
    ]
    if order.terms.order_class == "oco":
        why = "an OCO is its two exits: replace these, by their own identifiers"
    elif order.cancelling or order.ending is not None:
        why = "a cancellation is under way"
    elif strange:
        why = f"an order of type {kind} has no {' and no '.join(strange)}"
    elif quantity is not None and order.is_exit:
        why = "the quantity of an exit is that of what it closes"
    elif quantity is not None and quantity <= order.filled:
        why = f"{text(order.filled)} of it are filled already; cancel it to have no more"
        return Rejection("quantity", text(order.filled), text(quantity), why)
    elif len(order.pending) >= MAX_PENDING:
        most, count = str(MAX_PENDING), str(len(order.pending) + 1)
        why = f"{len(order.pending)} replacements are not answered yet"
        return Rejection("max_pending", most, count, why)
    else:
        return None
    return Rejection("replace", "what can be replaced", order.order_id, why)


def _checked(blotter: Blotter, order: Order, terms: Command) -> Rejection | None:
    """Check what an order is to be, as if it were not there yet, but for what of it is filled."""
    partner = blotter.known.orders.get(order.partner_id or "")
    left_out = [(one, one.counts) for one in (order, partner) if one is not None]
    for one, _ in left_out:
        one.counts = False
        blotter.recount(one)
    total, shown = terms.quantity or 0, terms.display_quantity
    left = total - order.filled
    if shown is not None and shown <= total:
        # Of an iceberg's last slice less is shown than it asked for: that is no reason to refuse another price.
        shown = min(shown, left)
    open_terms = terms._replace(quantity=left, display_quantity=shown)
    refused = check_replacement(blotter.account, blotter.market, open_terms)
    for one, counts in left_out:
        one.counts = counts
        blotter.recount(one)
    return refused


def _cancel(blotter: Blotter, command: Command) -> None:
    order = _open_order(blotter, command, CANCEL_REJECTED)
    if order is None:
        return
    if order.cancelling:
        why = "a cancellation is under way already"
        order.step(CANCEL_REJECTED)
        refused = Rejection("cancel", _CANCELLABLE, order.order_id, why)
        blotter.tell(order, CANCEL_REJECTED, refused=refused)
    elif order.terms.order_class == "oco":
        order.cancelling = True
        for suffix in EXIT_SUFFIXES:
            exit_ = blotter.known.orders.get(order.order_id + suffix)
            if exit_ is not None and exit_.is_open and not exit_.cancelling:
                blotter.cancel(exit_)
    else:
        blotter.cancel(order)


def _cancel_all(blotter: Blotter, command: Command) -> None:
    meant = [
        order
        for order in blotter.known.orders.values()
        if order.is_open
        and not order.cancelling
        and order.terms.order_class != "oco"
        and command.symbol in (None, order.terms.symbol)
    ]
    for order in meant:
        blotter.cancel(order)
    if not meant:
        why = "no order is open that is not being cancelled"
        refused = Rejection("cancel", _CANCELLABLE, command.symbol or "", why)
        blotter.tell_of_command(command, CANCEL_REJECTED, UNKNOWN, refused)


def _open_order(blotter: Blotter, command: Command, event: str) -> Order | None:
    """The open order that a command means; None, and that is told, where there is none."""
    order_id = command.order_id or exits.order_id(blotter, command)
    order = blotter.known.orders.get(order_id)
    if order is not None and order.is_open:
        return order
    status = blotter.known.status(order_id)
    if status == UNKNOWN:
        why = f"account {command.account} has no order {order_id}, or it ended long ago"
    else:
        why = f"the order has ended: it is {status}"
    refused = Rejection("order", "an open order", order_id, why)
    if order is not None:
        order.step(event)
        blotter.tell(order, event, refused=refused)
    else:
        blotter.tell_of_command(command._replace(order_id=order_id), event, status, refused)
    return None
