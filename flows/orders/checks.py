"""Pre-trade checks: whether an account may give an order now. Pure: they read the account's book and change nothing.

The order system asks them of each command, and its answer counts; the API asks them of a trial order. All
numbers are exact. The first check that fails refuses the order, and says by which limit and which value.

Exposures are conservative: an open buy order is taken to be filled whole or not at all, and a sell order
likewise, whichever makes the position larger.
"""

from flows.orders.account import Account, alike
from flows.orders.commands import Command
from flows.orders.exposure import Holding
from flows.orders.form_checks import ill_formed, off_grid
from flows.orders.limits import NO_LIMIT, Limits
from flows.orders.market import Market, Quoted
from flows.orders.money import LARGEST, ONE, divided, text
from flows.orders.rejection import Rejection, over
from schemas.accounts import FIRM

_LARGEST_NOTIONAL = LARGEST * ONE
# What a table of instruments had best say; `connectors.feeds` takes all fields of the topic.
_LISTING = "symbol,valid_from,venue,type,currency,tick_size,lot_size,calendar"
_PRICED = "a price in marks"


def check(account: Account, market: Market, order: Command) -> Rejection | None:
    """The first check that refuses a new order; None where it passes.

    Parameters
    ----------
    account : Account
        The book of its account.
    market : Market
        Prices, instruments and market time.
    order : Command
        A valid row of ``orders`` whose command is ``new``.
    """
    limits = account.limits
    if limits is None or account.name == FIRM:
        return _unknown_account(account)
    return (
        _too_fast(account, limits, order)
        or check_terms(account, market, order, limits)
        or _duplicate(account, limits, order)
    )


def check_replacement(account: Account, market: Market, terms: Command) -> Rejection | None:
    """The first check that refuses the terms that an order is to have; None where they pass.

    The caller has taken the order's present terms out of the account's open orders.
    """
    limits = account.limits
    if limits is None:
        return _unknown_account(account)
    return _too_fast(account, limits, terms) or check_terms(account, market, terms, limits)


def check_terms(
    account: Account, market: Market, order: Command, limits: Limits
) -> Rejection | None:
    """All checks but those of how fast orders come."""
    name, quantity = order.symbol or "", order.quantity or 0
    symbol = market.listed(name)
    if limits.halted or symbol is None or name in limits.restricted:
        return _not_now(name, limits, is_listed=symbol is not None)
    refused = ill_formed(order, quantity, symbol.now) or off_grid(order, symbol, quantity)
    if refused is not None:
        return refused
    price = reference_price(order, symbol)
    if price is None:
        why = f"{name} has no price yet, so that the order has no value"
        return Rejection("market_price", _PRICED, name, why)
    if quantity > limits.max_order_quantity:
        return over("order_quantity", limits.max_order_quantity, quantity, "the quantity", 1)
    if quantity * price > _LARGEST_NOTIONAL:
        return over("decimal_range", LARGEST, quantity * price, "the order's value")
    return _beyond_collar(order, symbol, limits) or _exposure(account, order, symbol, limits, price)


def reference_price(order: Command, symbol: Quoted) -> int | None:
    """What one share is taken to cost at most, or for a sale to be worth; None where nobody knows."""
    is_buy = order.side == "buy"
    best = symbol.ask if is_buy else symbol.bid
    if best is None:
        best = symbol.price
    limit, stop = order.limit_price, order.stop_price
    if is_buy and order.order_class == "oco":
        # Either exit may be the one that is filled, and the loss lies above the profit.
        limit, stop = order.stop_loss_limit_price, order.stop_loss_price
    if limit is not None and is_buy:
        return limit
    named = limit if limit is not None else stop
    if named is not None or best is None:
        return named if best is None else max(named or best, best)
    return best + _away(order, best) if is_buy else best


def _away(order: Command, best: int) -> int:
    """How far above the best price an order without a price of its own may buy."""
    if order.order_type == "trailing_stop":
        if order.trail_amount is not None:
            return order.trail_amount
        return best * (order.trail_percent or 0) // (100 * ONE)
    return max(order.peg_offset or 0, 0) if order.order_type == "pegged" else 0


def _not_now(name: str, limits: Limits, *, is_listed: bool) -> Rejection:
    if limits.halted:
        who = "the firm" if limits.halted_by == FIRM else f"account {limits.halted_by}"
        why = f"the kill switch of {who} is on: no new orders"
        return Rejection("kill_switch", "not halted", limits.halted_by, why)
    if not is_listed:
        why = (
            f"no instrument {name} is listed at market time: write a line for it into a CSV file with the header "
            f"{_LISTING}, and run `tapeflow feed FILE.csv`"
        )
        return Rejection("instrument", "listed in instruments", name, why)
    why = f"{name} is on the restricted list"
    return Rejection("restricted", "not restricted", name, why)


def _unknown_account(account: Account) -> Rejection:
    if account.name == FIRM:
        why = f"account {FIRM} stands for all, and trades nothing"
        return Rejection("account", "an account of its own", FIRM, why)
    why = f"account {account.name} is unknown: accounts has no row of it"
    return Rejection("account", "a row in accounts", account.name, why)


def _too_fast(account: Account, limits: Limits, order: Command) -> Rejection | None:
    most = limits.max_orders_per_second
    if most is None:
        return None
    count = account.recent.count(order.ts_event)
    if count < most:
        return None
    why = f"{count} orders were accepted within the last second; {most} may be"
    return Rejection("rate_limit", str(most), str(count + 1), why)


def _duplicate(account: Account, limits: Limits, order: Command) -> Rejection | None:
    window = limits.duplicate_window_ns
    if not window:
        return None
    last = account.recent.last(alike(order))
    if last is None or order.ts_event - last >= window:
        return None
    age = max(order.ts_event - last, 0)
    return Rejection(
        "duplicate_order",
        f"{window / 1e6:g} ms",
        f"{age / 1e6:g} ms",
        f"an equal order was accepted {age / 1e6:g} ms before",
    )


def _beyond_collar(order: Command, symbol: Quoted, limits: Limits) -> Rejection | None:
    collar, limit = limits.price_collar, order.limit_price
    if collar is None or limit is None:
        return None
    is_buy = order.side == "buy"
    best = symbol.ask if is_buy else symbol.bid
    if best is None:
        best = symbol.price
    if best is None:
        why = f"{symbol.name} has no price yet that the limit could be compared with"
        return Rejection("price_collar", _PRICED, text(limit), why)
    most = best * (ONE + collar) if is_buy else best * (ONE - collar)
    if limit * ONE <= most if is_buy else limit * ONE >= most:
        return None
    edge = text(divided(most, ONE))
    side = "above" if is_buy else "below"
    return Rejection(
        "price_collar",
        edge,
        text(limit),
        f"the limit is {side} {edge}, which is {text(collar)} of the best price {side} it",
    )


def _exposure(
    account: Account, order: Command, symbol: Quoted, limits: Limits, price: int
) -> Rejection | None:
    """The order's value, what the position may become, what that costs, and the account's own other side."""
    quantity, is_buy = order.quantity or 0, order.side == "buy"
    currency = symbol.currency or ""
    holding = account.holdings.get(symbol.name)
    if holding is None:
        before, after, held = 0, quantity, 0
        short = not is_buy
    else:
        before, held = holding.worst, holding.quantity
        if is_buy:
            short, after = False, max(before, abs(held + holding.open_buy + quantity))
        else:
            left = held - holding.open_sell - quantity
            short, after = left < 0, max(before, abs(left))
    if short:
        refused = _short(order, symbol, limits, holding)
        if refused is not None:
            return refused
    if after > before and after > limits.max_position_quantity:
        limit = limits.max_position_quantity
        return over("position_quantity", limit, after, "the position with open orders", 1)
    refused = _value(account, order, limits, (price, before, after), currency)
    if refused is not None or limits.self_trade_allowed or holding is None:
        return refused
    return _self_trade(order, holding)


def _short(
    order: Command, symbol: Quoted, limits: Limits, holding: Holding | None
) -> Rejection | None:
    held = 0 if holding is None else holding.quantity - holding.open_sell
    if not limits.is_margin:
        why = "a cash account sells what it has"
    elif symbol.sold_freely:
        return None
    elif order.side != "sell_short":
        why = "to sell more than is held, open sell orders counted, say sell_short"
    elif order.locate_id or symbol.name in limits.easy_to_borrow:
        return None
    else:
        why = f"{symbol.name} is not easy to borrow: a short sale needs a locate"
    quantity = order.quantity or 0
    return Rejection("short_sale", text(max(held, 0)), text(quantity), why)


def _value(
    account: Account,
    order: Command,
    limits: Limits,
    exposure: tuple[int, int, int],
    currency: str,
) -> Rejection | None:
    price, before, after = exposure
    notional = (order.quantity or 0) * price
    more = (after - before) * price
    position = after * price
    is_spending = order.side == "buy" and not limits.is_margin
    if not more and not is_spending and limits.max_order_notional == NO_LIMIT:
        # Nothing is compared: a rate that nobody knows is no reason to keep a position.
        return None
    if currency != limits.currency:
        into = [
            account.market.converted(amount, currency, limits.currency)
            for amount in (notional, more, position)
        ]
        if None in into:
            return _no_rate(currency, limits)
        notional, more, position = (amount or 0 for amount in into)
    if notional > limits.max_order_notional * ONE:
        return over("order_notional", limits.max_order_notional, notional, "the order's value")
    if more and position > limits.max_position_notional * ONE:
        limit = limits.max_position_notional
        return over("position_notional", limit, position, "the position's value with open orders")
    if not more and not is_spending:
        return None
    return _means(account, limits, account.market.set_aside(order.limit_price, notional), more)


def _means(account: Account, limits: Limits, notional: int, more: int) -> Rejection | None:
    """Whether the account can pay what an order needs, and may come to hold so much in all."""
    worth = account.worth()
    if worth is None:
        return _no_rate("one of its currencies", limits)
    cash, equity, gross = worth
    after = gross + more
    if more and after > limits.max_gross_notional * ONE:
        limit = limits.max_gross_notional
        return over("gross_notional", limit, after, "the value of all positions with open orders")
    firm = account.firm
    if more and firm is not None and firm.max_gross_notional != NO_LIMIT:
        refused = firm_means(account, firm, limits, more)
        if refused is not None:
            return refused
    if limits.type == "margin":
        # Multiplied out: a division of such integers takes longer than the rest.
        if after * ONE <= equity * limits.leverage:
            return None
        power, needed = equity * limits.leverage // ONE - gross, more
    else:
        power, needed = cash, notional
        if needed <= power:
            return None
    return over("buying_power", divided(max(power, 0), ONE), needed, "what the order needs")


def firm_means(account: Account, firm: Limits, limits: Limits, more: int) -> Rejection | None:
    """Whether all accounts together may come to hold so much."""
    gross = account.firm_gross()
    added = account.market.converted(more, limits.currency, firm.currency)
    if gross is None or added is None:
        return _no_rate("one of the firm's currencies", firm)
    if gross + added <= firm.max_gross_notional * ONE:
        return None
    what = "the value of all accounts' positions with open orders"
    return over("firm_gross_notional", firm.max_gross_notional, gross + added, what)


def _self_trade(order: Command, holding: Holding) -> Rejection | None:
    if order.order_type not in ("market", "limit", "pegged") or order.order_class == "oco":
        return None
    is_buy = order.side == "buy"
    met = holding.crossed(is_buy, order.limit_price)
    if met is None:
        return None
    limit = "market" if order.limit_price is None else text(order.limit_price)
    return Rejection(
        "self_trade", met, limit, f"it could trade with the account's own standing order {met}"
    )


def _no_rate(currency: str, limits: Limits) -> Rejection:
    return Rejection(
        "currency",
        limits.currency,
        currency,
        f"no rate of {currency} in {limits.currency} is known: marks has neither pair of the two",
    )
