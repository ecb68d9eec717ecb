"""The state of all books as arrays that grow, and as a snapshot."""

from typing import Any

import numpy as np

from flows.kernels.book_orders import carry_orders, resting
from flows.kernels.book_state import (
    BOOK,
    BOOKS_AT,
    ENDLESS,
    ENTRIES_AT,
    FREE,
    LEVELS_AT,
    NEVER,
    ORDER,
    ORDERS_AT,
    PARTS,
    PLACES_AT,
    SIDE,
    SYMBOL,
    TOP_WIDTH,
)
from schemas.arrays import Int64s

# Room at first; each grows by doubling.
_BOOKS = 16
_ORDERS = 4_096
_LEVELS = 2_048

# A snapshot holds whole pages of orders and levels: its size tells what is bounded, not what a book happens
# to hold at the moment.
_PAGE = 1_024


class BookState:
    """The state of all books.

    Parameters
    ----------
    symbols : int
        Symbols that fit at first.

    Attributes
    ----------
    symbols, books, sides : numpy.ndarray of SYMBOL, BOOK, SIDE
    seen, told : numpy.ndarray of float64, shape (books, TOP_WIDTH)
        The best levels at the end of the venue's last event, and of the last row written.
    orders : numpy.ndarray of ORDER
        The hash table; its length is a power of two.
    keys : numpy.ndarray of float64, shape (levels,)
    levels : numpy.ndarray of float64, shape (levels, 5)
    counts : numpy.ndarray of int64
        See ``ROWS_AT`` and those beside it.
    """

    def __init__(self, symbols: int) -> None:
        self.symbols = _new_symbols(symbols)
        self.books = np.zeros(_BOOKS, BOOK)
        self.sides = np.zeros(2 * _BOOKS, SIDE)
        self.seen = np.zeros((_BOOKS, TOP_WIDTH))
        self.told = np.zeros((_BOOKS, TOP_WIDTH))
        self.orders = _new_orders(_ORDERS)
        self.keys = np.empty(_LEVELS)
        self.levels = np.empty((_LEVELS, PARTS))
        self.counts = np.zeros(9, dtype=np.int64)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arrays in the order in which the kernels take them."""
        return (
            self.symbols,
            self.books,
            self.sides,
            self.seen,
            self.told,
            self.orders,
            self.keys,
            self.levels,
            self.counts,
        )

    def make_room_for_symbols(self, count: int) -> None:
        """Let so many symbols fit."""
        if count > len(self.symbols):
            self.symbols = _longer(self.symbols, _new_symbols(2 * count))

    def more_books(self) -> None:
        """Let twice as many books fit."""
        room = 2 * len(self.books)
        self.books = _longer(self.books, np.zeros(room, BOOK))
        self.sides = _longer(self.sides, np.zeros(2 * room, SIDE))
        self.seen = _longer(self.seen, np.zeros((room, TOP_WIDTH)))
        self.told = _longer(self.told, np.zeros((room, TOP_WIDTH)))

    def more_orders(self) -> None:
        """Drop orders that are gone, and let twice as many fit unless that made enough room."""
        found = self.orders[resting(self.orders, self.sides, self.keys, self.levels)]
        room = len(self.orders) if 4 * len(found) < len(self.orders) else 2 * len(self.orders)
        self.orders = _new_orders(room)
        carry_orders(found, self.orders)
        self.counts[ENTRIES_AT] = len(found)

    def more_levels(self) -> None:
        """Lay the levels out anew, with as much room again for each side."""
        count = int(self.counts[BOOKS_AT])
        sides = self.sides[: 2 * count]
        taken = _arena_index(sides)
        sides["room"] = 2 * sides["count"] + 8
        ends = np.cumsum(sides["room"])
        sides["start"] = ends - sides["room"]
        used = int(ends[-1])
        keys, levels = np.empty(2 * used + _LEVELS), np.empty((2 * used + _LEVELS, PARTS))
        placed = _arena_index(sides)
        keys[placed] = self.keys[taken]
        levels[placed] = self.levels[taken]
        self.keys, self.levels = keys, levels
        self.counts[PLACES_AT] = used

    def snapshot(self, symbols: int) -> dict[str, Any]:
        """The state of so many symbols and of all books as arrays, whatever room there is for more.

        Orders are in order of book and id, levels in order of side and price.
        """
        count = int(self.counts[BOOKS_AT])
        orders = self.orders[resting(self.orders, self.sides, self.keys, self.levels)]
        orders = orders[np.lexsort((orders["id"], orders["place"] >> 1))]
        books = self.books[:count]
        taken = _arena_index(self.sides[: 2 * count])
        levels = np.column_stack([self.keys[taken], self.levels[taken]])
        return {
            "symbols": _integers(self.symbols[:symbols]),
            "books": _integers(books),
            "side_counts": self.sides["count"][: 2 * count],
            "seen": self.seen[:count],
            "told": self.told[:count],
            "order_count": np.array([len(orders)]),
            "orders": _paged(_integers(orders)),
            "levels": _paged(levels),
        }

    @classmethod
    def resumed(cls, arrays: dict[str, Any]) -> "BookState":
        """The state that `snapshot` gave the arrays of."""
        state = cls(max(len(arrays["symbols"]), 1))
        count = len(arrays["books"])
        while len(state.books) < count:
            state.more_books()
        _fill(state.symbols, arrays["symbols"])
        _fill(state.books, arrays["books"])
        state.seen[:count] = arrays["seen"]
        state.told[:count] = arrays["told"]
        state.counts[BOOKS_AT] = count
        orders = np.zeros(int(arrays["order_count"][0]), ORDER)
        _fill(orders, arrays["orders"][: len(orders)])
        while len(state.orders) < 4 * len(orders):
            state.orders = _new_orders(2 * len(state.orders))
        carry_orders(orders, state.orders)
        state.counts[ORDERS_AT] = state.counts[ENTRIES_AT] = len(orders)
        state.counts[LEVELS_AT] = arrays["side_counts"].sum()
        sides = state.sides[: 2 * count]
        sides["count"] = arrays["side_counts"]
        sides["start"] = np.cumsum(sides["count"]) - sides["count"]
        state.keys = arrays["levels"][:, 0].copy()
        state.levels = arrays["levels"][:, 1:].copy()
        if count:
            state.more_levels()
        return state


def _new_symbols(room: int) -> np.ndarray[Any, Any]:
    symbols = np.zeros(room, SYMBOL)
    symbols["first"] = -1
    symbols["last"] = -1
    symbols["recent"] = -1
    symbols["frontier"] = NEVER
    symbols["end"] = ENDLESS
    return symbols


def _new_orders(room: int) -> np.ndarray[Any, Any]:
    orders = np.zeros(room, ORDER)
    orders["place"] = FREE
    return orders


def _longer(old: np.ndarray[Any, Any], new: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    new[: len(old)] = old
    return new


def _arena_index(sides: np.ndarray[Any, Any]) -> Int64s:
    # Where the levels of all sides are, side by side.
    counts = sides["count"]
    before = np.repeat(np.cumsum(counts) - counts, counts)
    index: Int64s = np.repeat(sides["start"], counts) + np.arange(len(before)) - before
    return index


def _integers(records: np.ndarray[Any, Any]) -> Int64s:
    fields = len(records.dtype.names or ())
    values: Int64s = records.view(np.int64).reshape(-1, fields)
    return values


def _fill(records: np.ndarray[Any, Any], values: Int64s) -> None:
    _integers(records)[: len(values)] = values


def _paged(values: Any) -> Any:
    pages = np.zeros((-(-len(values) // _PAGE) * _PAGE, values.shape[1]), values.dtype)
    pages[: len(values)] = values
    return pages
