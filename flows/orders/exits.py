"""Exits: the two orders that a bracket makes of its fills, and an OCO of itself; of the two one is filled.

A bracket's exits are made at the first fill of its entry, with what is filled, and grow with every further one, as
orders that are attached at brokers do: a position is protected from its first share on. Once an exit has ended, what is
left of the entry is cancelled; what is filled before that is through gets exits of its own. An OCO is its two exits from the
start, and its own fills are theirs. Identifiers are the order's with ``-tp`` (take profit, a limit) and ``-sl`` (stop
loss, a stop or stop-limit), for clients too; further pairs have ``-tp2`` and ``-sl2``, and so on. The two share one
quantity: a fill of one takes as much off the other, which the execution sees to by itself (`flows.trading.exit_pairs`), as
fills are read here later. When one ends the other is cancelled, unless its venue has refused it, or it was cancelled unasked,
as it is where the other's stop is reached: then the other stays, and protects what it can. So do brokers: of linked orders
one cancels the other when it is filled, or cancelled by its client (Interactive Brokers' OCA groups; QuantConnect's
contingent orders), and TradeStation takes each for an order of its own otherwise. They pass no checks but those that the
order passed with them: they close what it opened, so that the kill switch does not keep a position from being closed.
"""

import re

from flows.orders.blotter import Blotter
from flows.orders.commands import Command
from flows.orders.order import Order
from flows.orders.states import (
    CANCELLED,
    FILLED,
    PARTIALLY_FILLED,
    REJECTED,
    REPLACED,
    REPORT_REJECTED,
)
from schemas.order_ids import EXIT_SUFFIXES, order_id_of

_PROFIT, _LOSS = EXIT_SUFFIXES

# What a client calls an exit: what it calls the order, the suffix, and from the second pair on its number.
_OF_EXIT = re.compile(f"(.+)((?:{_PROFIT}|{_LOSS})[0-9]*)", re.DOTALL)

# Others would end before the exits can have been of use.
_LASTING = ("day", "gtc", "gtd")


def taken(blotter: Blotter, command: Command) -> str | None:
    """A client order id that the command would use a second time by its exits, or is of another's exits."""
    account, client = command.account, command.client_order_id
    if command.order_class != "simple":
        for suffix in EXIT_SUFFIXES:
            if order_id_of(account, client + suffix) in blotter.known:
                return client + suffix
    if client.endswith(EXIT_SUFFIXES):
        order_id = order_id_of(account, client[: -len(_PROFIT)])
        entry = blotter.known.orders.get(order_id)
        has_exits = entry is not None and entry.terms.order_class != "simple"
        if has_exits or order_id + client[-len(_PROFIT) :] in blotter.known:
            return client
    return None


def order_id(blotter: Blotter, command: Command) -> str:
    """Identifier of the order that a client calls so: of an exit, whose own begins with its order's, where none is called so."""
    account, client = command.account, command.client_order_id
    own = order_id_of(account, client)
    named = None if own in blotter.known else _OF_EXIT.fullmatch(client)
    if named is None:
        return own
    exit_ = order_id_of(account, named[1]) + named[2]
    return exit_ if exit_ in blotter.known else own


def cover(blotter: Blotter, entry: Order) -> None:
    """A bracket's entry has been filled: its exits are made, or become as much larger."""
    more = entry.filled - entry.shared
    if not more or entry.outdated is not None:
        return
    entry.shared = entry.filled
    orders = blotter.known.orders
    both = [orders.get(entry.order_id + suffix) for suffix in _suffixes(entry.pairs)]
    pair = [one for one in both if one is not None and one.is_open and not one.cancelling]
    if entry.pairs and len(pair) == len(both):
        for exit_ in pair:
            exit_.shared += more
        for exit_ in pair:
            fit(blotter, exit_)
    else:
        make(blotter, entry, more)


def fit(blotter: Blotter, exit_: Order, refused: int | None = None) -> None:
    """Ask for the quantity that an exit is to have, if it has another; once what was asked before is answered.

    What the other exit has filled needs no asking: the execution has taken it off. A quantity that was ``refused`` a moment ago
    is not asked for again.
    """
    partner = blotter.known.orders.get(exit_.partner_id or "")
    if partner is None or not exit_.is_open:
        return
    if partner.filled != exit_.taken:
        _reduce(blotter, exit_, partner.filled)
    if exit_.pending or exit_.cancelling:
        return
    wanted = exit_.shared - partner.filled
    if wanted not in (exit_.quantity, refused) and wanted > exit_.filled:
        blotter.ask(exit_, exit_.terms._replace(quantity=wanted))


def _reduce(blotter: Blotter, exit_: Order, taken: int) -> None:
    """The other exit has been filled with so much: of this one's terms, and of those that are asked for, it is off."""
    less, exit_.taken = taken - exit_.taken, taken

    def reduced(terms: Command) -> Command:
        return terms._replace(quantity=max((terms.quantity or 0) - less, exit_.filled))

    exit_.terms, exit_.pending = reduced(exit_.terms), tuple(map(reduced, exit_.pending))
    blotter.recount(exit_)
    if exit_.quantity > exit_.filled:
        exit_.step(REPLACED)
        blotter.tell(exit_, REPLACED)


def make(blotter: Blotter, entry: Order, quantity: int) -> None:
    """Make both exits of an order, or of a part of it, and have them executed."""
    ordered = entry.terms
    is_bracket = ordered.order_class == "bracket"
    other = "sell" if entry.is_buy else "buy"
    plain = ordered._replace(
        side=other if is_bracket else ordered.side,
        quantity=quantity,
        order_class="simple",
        limit_price=None,
        stop_price=None,
        trail_amount=None,
        trail_percent=None,
        peg=None,
        peg_offset=None,
        display_quantity=None,
        time_in_force=ordered.time_in_force if ordered.time_in_force in _LASTING else "gtc",
        take_profit_price=None,
        stop_loss_price=None,
        stop_loss_limit_price=None,
        algorithm=None,
        algorithm_params=None,
    )
    profit = plain._replace(order_type="limit", limit_price=ordered.take_profit_price)
    limit = ordered.stop_loss_limit_price
    loss = plain._replace(
        order_type="stop" if limit is None else "stop_limit",
        stop_price=ordered.stop_loss_price,
        limit_price=limit,
    )
    entry.pairs = _free_pair(blotter, entry)
    named = zip((profit, loss), _suffixes(entry.pairs), strict=True)
    both = [_named(blotter, entry, *one) for one in named]
    for exit_, partner in zip(both, reversed(both), strict=True):
        exit_.partner_id, exit_.shared = partner.order_id, quantity
    # Only one of them can be filled; the limit, which stands at once, is the one that counts.
    both[1].counts = False
    for exit_ in both:
        blotter.send(exit_)


def _suffixes(pair: int) -> tuple[str, str]:
    number = str(pair) if pair > 1 else ""
    return _PROFIT + number, _LOSS + number


def _free_pair(blotter: Blotter, entry: Order) -> int:
    """Number of the next pair of exits; those whose names the client has given to orders of its own are left out."""
    client, pair = entry.terms.client_order_id, entry.pairs + 1
    while pair > 1 and any(
        order_id_of(entry.terms.account, client + suffix) in blotter.known
        for suffix in _suffixes(pair)
    ):
        pair += 1
    return pair


def _named(blotter: Blotter, entry: Order, terms: Command, suffix: str) -> Order:
    named = terms._replace(
        order_id=entry.order_id + suffix, client_order_id=entry.terms.client_order_id + suffix
    )
    return blotter.accept(named, entry.order_id)


def after_fill(blotter: Blotter, exit_: Order, fill: tuple[int, int, str]) -> None:
    """An exit has been filled: less of the other is wanted, and an OCO has been filled as much."""
    _mirror(blotter, exit_, fill)
    partner = blotter.known.orders.get(exit_.partner_id or "")
    if partner is None or not partner.is_open or not exit_.is_open:
        return
    if exit_.shared - exit_.filled > partner.filled:
        fit(blotter, partner)
    elif not partner.cancelling:
        blotter.cancel(partner)


def after_end(blotter: Blotter, exit_: Order, event: str, reason: str | None) -> None:
    """An exit has ended: the other is cancelled, and once it has ended too, so has an OCO.

    What a bracket's entry has open is cancelled. An exit that was filled before it could grow leaves the other the rest.
    """
    partner = _remaining(blotter, exit_)
    if partner is None:
        _end_oco(blotter, exit_, event, reason)
        _renew(blotter, exit_)
    elif event == FILLED and exit_.shared - exit_.filled > partner.filled:
        fit(blotter, partner)
    elif not partner.cancelling:
        blotter.cancel(partner)


def stays(blotter: Blotter, order: Order) -> None:
    """A cancellation was refused: an OCO whose exit stays can be asked to be cancelled again."""
    parent = _oco(blotter, order)
    if parent is not None:
        parent.cancelling = False


def is_refused(order: Order, event: str) -> bool:
    """Whether an order is an exit whose end with such an event nobody asked for, while it was not filled."""
    return (
        order.is_exit
        and event in (REJECTED, CANCELLED)
        and not order.cancelling
        and not 0 < order.filled >= order.quantity
    )


def refusal(blotter: Blotter, exit_: Order, reason: str | None) -> str:
    """Why an exit was refused, and what protects the position now."""
    why = reason or "its venue ended it unasked"
    partner = blotter.known.orders.get(exit_.partner_id or "")
    if partner is None or not partner.is_open or partner.cancelling:
        return f"{why}; no exit is left"
    return f"{why}; exit {partner.terms.client_order_id} stays, alone"


def why_cancelled(blotter: Blotter, exit_: Order) -> str | None:
    """Why an exit was cancelled that no client had to cancel: the other was filled; None where it was not."""
    partner = blotter.known.orders.get(exit_.partner_id or "")
    if partner is None or not partner.is_filled:
        return None
    return f"exit {partner.terms.client_order_id} was filled"


def after_refusal(blotter: Blotter, exit_: Order, event: str, reason: str | None) -> None:
    """A venue has ended an exit that nobody cancelled: the other stays, with all that is left of what they share."""
    partner = _remaining(blotter, exit_)
    if partner is None:
        _end_oco(blotter, exit_, event, reason)
        _renew(blotter, exit_)
    else:
        fit(blotter, partner)


def _remaining(blotter: Blotter, exit_: Order) -> Order | None:
    """An exit has ended: the other if it is open, which counts now; what a bracket's entry has open is cancelled."""
    partner = blotter.known.orders.get(exit_.partner_id or "")
    entry = blotter.known.orders.get(exit_.parent_order_id or "")
    if entry is not None and entry.terms.order_class == "bracket":
        _cancel_rest(blotter, entry)
    if partner is None or not partner.is_open:
        return None
    partner.counts = True
    blotter.value(partner)
    blotter.recount(partner)
    return partner


def _end_oco(blotter: Blotter, exit_: Order, event: str, reason: str | None) -> None:
    parent = _oco(blotter, exit_)
    if parent is not None and parent.is_open:
        if event == FILLED or (event == REJECTED and parent.filled):
            event = CANCELLED
        blotter.end(parent, event, reason=reason)


def _renew(blotter: Blotter, exit_: Order) -> None:
    """Both exits have ended, one of them filled before it could grow: what neither has closed has exits of its own."""
    orders = blotter.known.orders
    partner, entry = orders.get(exit_.partner_id or ""), orders.get(exit_.parent_order_id or "")
    if partner is None or entry is None:
        return
    # An entry that had ended before a corporate action is not marked by it; its exits were open, and are.
    if any(one.outdated is not None for one in (entry, exit_, partner)):
        return
    rest = exit_.shared - exit_.filled - partner.filled
    if rest > 0 and FILLED in (exit_.status, partner.status):
        make(blotter, entry, rest)


def _cancel_rest(blotter: Blotter, entry: Order) -> None:
    if entry.is_open and not entry.cancelling and entry.ending is None:
        blotter.cancel(entry)


def _mirror(blotter: Blotter, exit_: Order, fill: tuple[int, int, str]) -> None:
    parent = _oco(blotter, exit_)
    if parent is None:
        return
    quantity, price, execution_id = fill
    excess = parent.fill(quantity, price) if parent.is_open else quantity
    if excess < quantity:
        if parent.is_filled:
            blotter.end(parent, FILLED, execution_id)
        else:
            parent.step(PARTIALLY_FILLED)
            blotter.tell(parent, PARTIALLY_FILLED, execution_id)
    if excess:
        why = "its exits were filled together with more than it had"
        parent.step(REPORT_REJECTED)
        blotter.tell(parent, REPORT_REJECTED, execution_id, why)


def _oco(blotter: Blotter, exit_: Order) -> Order | None:
    parent = blotter.known.orders.get(exit_.parent_order_id or "")
    return parent if parent is not None and parent.terms.order_class == "oco" else None
