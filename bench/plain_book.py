"""An order book as it is usually written in Python: a dictionary of orders, sorted dictionaries of levels."""

from collections.abc import Iterable

from sortedcontainers import SortedDict

Event = tuple[str, int | None, str | None, float | None, float | None, bool]
"""Action, order id, side, price, size, and whether the venue's event ends."""


def best_rows(events: Iterable[Event], depth: int) -> int:
    """How often the best levels of the book changed, each time with its row made."""
    orders: dict[int, tuple[str, float, float]] = {}
    levels = {"buy": SortedDict(lambda price: -price), "sell": SortedDict()}
    rows = 0
    before: list[tuple[float, float]] = []
    for action, order_id, side, price, size, is_last in events:
        if action == "clear":
            orders.clear()
            levels["buy"].clear()
            levels["sell"].clear()
        elif action == "level":
            _set(levels[side], price, size)
        elif action == "add":
            orders[order_id] = (side, price, size)
            _change(levels[side], price, size)
        elif action in ("cancel", "execute", "modify"):
            known = orders.pop(order_id, None)
            if known is None:
                _change(levels[side], price, -size)
            else:
                old_side, old_price, old_size = known
                left = 0.0 if action == "modify" else old_size - size
                _change(levels[old_side], old_price, left - old_size)
                if left > 0:
                    orders[order_id] = (old_side, old_price, left)
            if action == "modify":
                orders[order_id] = (side, price, size)
                _change(levels[side], price, size)
        if is_last:
            best = [*levels["buy"].items()[:depth], *levels["sell"].items()[:depth]]
            if best != before:
                before = best
                rows += 1
    return rows


def _set(levels: SortedDict, price: float, size: float) -> None:
    if size > 0:
        levels[price] = size
    else:
        levels.pop(price, None)


def _change(levels: SortedDict, price: float, size: float) -> None:
    _set(levels, price, levels.get(price, 0.0) + size)
