"""What a corporate action does to accounts as the order system knows them: positions, cash, open orders, prices.

Of what `flows.positions` does this is the part that checks need. What an action cannot change is left as it is, there
and here; that it could not is told once, in ``ledger_faults``.

Open orders of a symbol that is split, renamed or spun off from are in terms of shares that there are no more: they are
cancelled, exits too, and a bracket's entry that was filled in part makes no exits. Brokers adjust some of them;
a wrong guess at a price trades, a cancelled order does not. A dividend leaves orders as they are.
"""

from flows.orders.account import Account
from flows.orders.blotter import Blotter
from flows.orders.corporate_actions import (
    DIVIDEND,
    SPLIT,
    SYMBOL_CHANGE,
    Action,
    Dividend,
    Piece,
    dividend_of,
    made_of,
    words,
)
from flows.orders.market import Market
from flows.orders.money import divided
from flows.orders.position import LIMIT


def restate_price(market: Market, action: Action) -> None:
    """A price from before the ex time is of the old shares."""
    one = market.known(action.symbol)
    if one is None or action.lacking or one.price is None or one.now >= action.ts_event:
        return
    if action.kind == SPLIT:
        prices = (one.price, one.bid, one.ask)
        one.price, one.bid, one.ask = (
            None if price is None else _of_new(price, action) for price in prices
        )
    elif action.kind == SYMBOL_CHANGE:
        new = market.symbol(action.new_symbol or "")
        if new.price is None:
            new.price = one.price


def restate(blotter: Blotter, action: Action) -> None:
    """Change an account's position in an action's symbol, and cancel its open orders there."""
    if action.lacking:
        return
    account = blotter.account
    holding = account.holdings.get(action.symbol)
    if holding is None:
        return
    symbol = account.market.symbol(action.symbol)
    held, currency = holding.quantity, holding.purse.currency
    if action.kind == DIVIDEND:
        pay(account, dividend_of(action, held, currency))
        return
    if symbol.price is not None:
        holding.revalue(symbol.price)
    elif action.kind == SPLIT:
        # It stands at the price of an order or fill, which were of the old shares.
        holding.revalue(_of_new(holding.price, action))
    hold(account, Piece(action.symbol, -held, 0), currency)
    before = Piece(action.symbol, held, 0)
    for one in bounded(made_of(before, action, 1), before):
        hold(account, one, currency, holding.price if action.kind == SYMBOL_CHANGE else None)
    _cancel_open(blotter, action)


def bounded(pieces: list[Piece], before: Piece) -> list[Piece]:
    """What an action makes of a piece; the piece itself where that is more than can be written."""
    return [before] if any(abs(one.quantity) > LIMIT for one in pieces) else pieces


def hold(account: Account, piece: Piece, currency: str, price: int | None = None) -> None:
    """Add a quantity to a position, which keeps the currency that it has, and is worth a price if it has none yet."""
    holding = account.holdings.get(piece.symbol)
    if holding is None:
        if not piece.quantity:
            return
        traded_in = account.market.currency(piece.symbol)
        symbol = account.market.symbol(piece.symbol)
        holding = account.holding(symbol, traded_in or currency)
        if symbol.price is None and price is not None:
            holding.revalue(price)
    holding.trade(piece.quantity)


def pay(account: Account, dividend: Dividend) -> None:
    """Pay a dividend into an account, or out of it where it is short."""
    if dividend.amount:
        account.purse(dividend.currency).cash += dividend.amount


def _of_new(price: int, action: Action) -> int:
    """The price of a new share; of a tenth decimal at least, and as it was where it cannot be written."""
    new = divided(price * (action.denominator or 1), action.numerator or 1) or 1
    return new if abs(new) <= LIMIT else price


def _cancel_open(blotter: Blotter, action: Action) -> None:
    why = f"{words(action)}: the order was in terms of before"
    meant = [
        order
        for order in blotter.known.orders.values()
        if order.is_open and order.terms.symbol == action.symbol
    ]
    for order in meant:
        order.outdated = why
        if order.cancelling or order.ending is not None:
            continue
        if order.terms.order_class == "oco":
            # Its exits are among the others, and it ends with them.
            order.cancelling = True
        else:
            blotter.cancel(order)
