"""What a corporate action does to the positions of its symbol, and to its mark."""

from flows.orders.book import Book
from flows.orders.corporate_actions import (
    DIVIDEND,
    SPIN_OFF,
    SPLIT,
    SYMBOL_CHANGE,
    Action,
    Dividend,
    dividend_of,
    words,
)
from flows.orders.money import ONE, divided, text
from flows.orders.position import LIMIT, Position

CAUSE = "corporate_action"


def make_effective(book: Book, action: Action, now: int) -> None:
    """Change all positions of an action's symbol, and say of each how it stands then.

    Flat ones too: so the rows say of every fill of a position whether it was booked before the action or after it.
    """
    if not action.lacking:
        _move_mark(book, action)
    for position in list(book.of_symbol(action.symbol)):
        kind, reason = _refusal(book, action, position)
        if kind:
            _fault(book, action, position, kind, reason, now)
            continue
        if position.lots.open and position.lots.open[-1].ts_opened >= action.ts_event:
            reason = f"{words(action)} came after its time: it holds for what was bought since, too"
            _fault(book, action, position, "late_action", reason, now)
        _act(book, action, position, now)
        book.tell(position, CAUSE, action.action_id, now)


def pay_dividend(book: Book, position: Position, dividend: Dividend, now: int) -> None:
    """Pay a dividend into an account, or out of it."""
    if dividend.currency == position.currency:
        position.dividends += dividend.amount
    book.pay(
        position.account,
        dividend.currency,
        dividend.amount,
        cause=CAUSE,
        cause_id=dividend.action_id,
        now=now,
    )


def _refusal(book: Book, action: Action, position: Position) -> tuple[str, str]:
    """Kind and reason of the fault where an action cannot change a position."""
    if action.lacking:
        return "incomplete_action", f"a {action.kind} needs {', '.join(action.lacking)}"
    if not _has_room(book, action, position):
        return "too_large", f"{words(action)} makes more than can be written"
    quantity = position.lots.quantity
    ratio = action.numerator or ONE, action.denominator or ONE
    if action.kind == SPLIT and quantity and not divided(quantity * ratio[0], ratio[1]):
        return "nothing_left", f"{words(action)} would leave nothing of {text(quantity)}"
    return "", ""


def _has_room(book: Book, action: Action, position: Position) -> bool:
    quantity = abs(position.lots.quantity)
    if action.kind == DIVIDEND:
        due = dividend_of(action, quantity, position.currency)
        amount = abs(due.amount)
        return (
            book.has_room(position.account, due.currency, amount)
            and abs(position.dividends) + amount <= LIMIT
        )
    new = divided(quantity * (action.numerator or ONE), action.denominator or ONE)
    if action.kind == SPLIT:
        return new <= LIMIT
    if not quantity:
        return True
    target = _target(book, action, position)
    moved = quantity if action.kind == SYMBOL_CHANGE else new
    return target.bears(moved, position.lots.cost, 0)


def _act(book: Book, action: Action, position: Position, now: int) -> None:
    lots = position.lots
    if not lots.quantity:
        return
    if action.kind == DIVIDEND:
        pay_dividend(book, position, dividend_of(action, lots.quantity, position.currency), now)
        return
    ratio = action.numerator or ONE, action.denominator or ONE
    if action.kind == SPLIT:
        lots.scale(*ratio)
        return
    spun_off = action.kind == SPIN_OFF
    moved = lots.spun_off(*ratio, action.cost_share or 0) if spun_off else lots.taken_out()
    target = _target(book, action, position)
    for lot in moved:
        # Where the new symbol is held on the other side already, they close each other.
        book.book(target, lot, cause_id=action.action_id, now=now)
    book.tell(target, CAUSE, action.action_id, now)


def _target(book: Book, action: Action, position: Position) -> Position:
    symbol = action.new_symbol or position.symbol
    return book.position(position.account, position.strategy, symbol, position.currency)


def _move_mark(book: Book, action: Action) -> None:
    """A mark from before the ex time is of the old shares."""
    price = book.marks.get(action.symbol)
    if price is None or book.mark_times[action.symbol] >= action.ts_event:
        return
    if action.kind == SPLIT and action.numerator and action.denominator:
        new = price * action.denominator / action.numerator
        if 0 < new < float("inf"):
            book.marks[action.symbol] = new
    elif action.kind == SYMBOL_CHANGE and action.new_symbol not in (None, *book.marks):
        book.put_mark(str(action.new_symbol), book.mark_times[action.symbol], price)


def _fault(
    book: Book, action: Action, position: Position, kind: str, reason: str, now: int
) -> None:
    book.fault(position.account, kind, action.action_id, position.symbol, reason=reason, now=now)
