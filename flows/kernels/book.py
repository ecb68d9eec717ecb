"""Order books from book events: one pass in log order over explicit state.

`flows.kernels.book_state` says what the arrays hold, `flows.book` what is done with which event. Nothing here
depends on where the rows were cut into batches.

Helpers take single arrays, not the tuples they are in: a tuple handed on costs a reference count for each
of its arrays.
"""

from typing import Any

import numpy as np

from flows.kernels.book_events import apply_event
from flows.kernels.book_faults import write_fault
from flows.kernels.book_levels import copy_best
from flows.kernels.book_rows import best_flow, write_row
from flows.kernels.book_state import (
    ADD,
    BOOKS_AT,
    CALLS,
    CANCEL,
    CLEAR,
    COUNTS_EVERY,
    CROSSED,
    ENDLESS,
    ENTRIES_AT,
    EXECUTE,
    FAULTS_AT,
    FAULTS_PER_ROW,
    FILL,
    HALT,
    HIDDEN_EXECUTE,
    KEPT,
    LATE_AT,
    LEVEL,
    LEVELS_AT,
    LOCKED,
    MODIFY,
    MORE_BOOKS,
    MORE_LEVELS,
    MORE_ORDERS,
    NEED_AT,
    ORDERS,
    ORDERS_AT,
    PARTS,
    PLACES_AT,
    ROWS_AT,
    SEQUENCE_BACK,
    SEQUENCE_GAP,
    TOP_WIDTH,
    TRADING,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def apply_events(first: int, events: Any, spec: Any, state: Any, out: Any) -> int:
    """Take book events in, from row `first` on, and write out what they cause.

    Parameters
    ----------
    first : int
        Row to begin with.
    events : tuple of numpy.ndarray
        Columns of the events, shape (n,): slots of symbol and venue, event time in ns since 1970 UTC, action, side and
        trading state by the numbers of `flows.kernels.book_state` (-1 for null), order id and whether there is
        one, price and size (NaN for null), sequence number and whether there is one, whether the venue's event
        ends.
    spec : tuple
        Depth; length of the intervals of conflation in ns, 0 for none; what is known of each venue (``COUNTS_EVERY`` and
        ``CALLS``), shape (venues,); how many orders, levels and books there may be.
    state, out : tuple
        ``arguments`` of `BookState` and `Written`; both are changed.

    Returns
    -------
    int
        The row to go on with: n, or less where `out` is full or something in the state must grow (then
        its counts tell what). Nothing of that row was applied.
    """
    (
        symbol_slots,
        venue_slots,
        times,
        actions,
        sides_of,
        states,
        ids,
        named,
        prices,
        sizes,
        sequences,
        numbered,
        lasts,
    ) = events
    depth, interval, venues, most_orders, most_levels, most_books = spec
    symbols, books, sides, seen, told, orders, keys, levels, counts = state
    rows, values, faults, late = out
    for i in range(first, len(times)):
        if (
            counts[FAULTS_AT] + FAULTS_PER_ROW > len(faults)
            or counts[ROWS_AT] == len(rows)
            or counts[LATE_AT] == len(late)
        ):
            return i
        symbol = symbol_slots[i]
        time = times[i]
        if interval > 0:
            symbols[symbol].frontier = max(symbols[symbol].frontier, time)
            if not _close(symbols, symbol, books, seen, told, depth, rows, values, counts):
                return i
        book = _book(symbols, symbol, venue_slots[i], books, counts, most_books)
        if book < 0:
            counts[NEED_AT] = MORE_BOOKS
            return i
        action = actions[i]
        side = sides_of[i]
        if action in (ADD, MODIFY, LEVEL):
            if action != LEVEL and (
                2 * counts[ENTRIES_AT] >= len(orders) or counts[ORDERS_AT] > most_orders
            ):
                counts[NEED_AT] = MORE_ORDERS
                return i
            if side >= 0 and (
                counts[LEVELS_AT] > most_levels
                or not _room_for_level(sides, 2 * book + side, keys, levels, counts)
            ):
                counts[NEED_AT] = MORE_LEVELS
                return i
        if interval > 0:
            end = time - time % interval + interval
            frontier = symbols[symbol].frontier
            if end <= frontier:
                missed = late[counts[LATE_AT]]
                missed.row = i
                missed.end = end
                missed.frontier = frontier
                counts[LATE_AT] += 1
        if numbered[i]:
            counted = venues[venue_slots[i]] & COUNTS_EVERY
            _follow(books, book, sequences[i], counted, faults, counts, i)
        if action in (EXECUTE, FILL, HIDDEN_EXECUTE):
            books[book].executed = 1
            books[book].touched = 1
        if action == HALT:
            if states[i] >= 0 and books[book].state != states[i]:
                books[book].state = states[i]
                books[book].touched = 1
        elif action == CLEAR:
            _clear(books, book, sides, levels, counts)
        elif action in (ADD, MODIFY, CANCEL, EXECUTE, LEVEL):
            apply_event(
                i,
                book,
                action,
                side,
                ids[i],
                named[i],
                prices[i],
                sizes[i],
                depth,
                books,
                sides,
                orders,
                keys,
                levels,
                counts,
                faults,
            )
        if lasts[i]:
            calls = venues[venue_slots[i]] & CALLS
            if books[book].touched and _look(
                books, book, sides, keys, levels, depth, seen, calls, faults, counts, i
            ):
                if interval > 0:
                    books[book].due = 1
                    frontier = symbols[symbol].frontier
                    symbols[symbol].end = frontier - frontier % interval + interval
                else:
                    write_row(books, book, time, seen[book], depth, rows, values, counts)
            books[book].touched = 0
            books[book].emptied = 0
            books[book].executed = 0
    return len(times)


@jit_in_place
def pass_time(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: write the rows of intervals that end up to each time.

    Parameters and the value returned are those of `apply_events`, for symbols' slots and times.
    """
    depth = spec[0]
    symbols, books, _, seen, told, _, _, _, counts = state
    rows, values, _, _ = out
    for i in range(first, len(slots)):
        symbols[slots[i]].frontier = max(symbols[slots[i]].frontier, times[i])
        if not _close(symbols, slots[i], books, seen, told, depth, rows, values, counts):
            return i
    return len(slots)


@jit_in_place
def _close(
    symbols: Any,
    symbol: int,
    books: Any,
    seen: Floats,
    told: Floats,
    depth: int,
    rows: Int64s,
    values: Floats,
    counts: Int64s,
) -> bool:
    # Write the rows that are due once the frontier has passed the end of the interval; False where there is no
    # room left. All that is due of a symbol is of one interval, the frontier's.
    end = symbols[symbol].end
    if end > symbols[symbol].frontier:
        return True
    book = symbols[symbol].first
    while book >= 0:
        if books[book].due:
            if counts[ROWS_AT] == len(rows):
                return False
            books[book].due = 0
            changed = False
            for part in range(TOP_WIDTH):
                if told[book, part] != seen[book, part]:
                    told[book, part] = seen[book, part]
                    changed = True
            if changed:
                write_row(books, book, end, seen[book], depth, rows, values, counts)
        book = books[book].next
    symbols[symbol].end = ENDLESS
    return True


@jit_in_place
def _book(symbols: Any, symbol: int, venue: int, books: Any, counts: Int64s, most: int) -> int:
    # The book of a symbol at a venue, a new one where there is none; -1 where there is no room for it.
    book: int = symbols[symbol].recent
    if book >= 0 and books[book].venue == venue:
        return book
    book = symbols[symbol].first
    while book >= 0 and books[book].venue != venue:
        book = books[book].next
    if book < 0:
        book = counts[BOOKS_AT]
        if book >= min(most, len(books)):
            return -1
        counts[BOOKS_AT] += 1
        new = books[book]
        new.symbol = symbol
        new.venue = venue
        new.next = -1
        new.state = -1
        new.emptied = 1
        if symbols[symbol].first < 0:
            symbols[symbol].first = book
        else:
            books[symbols[symbol].last].next = book
        symbols[symbol].last = book
    symbols[symbol].recent = book
    return book


@jit_in_place
def _room_for_level(sides: Any, side: int, keys: Floats, levels: Floats, counts: Int64s) -> bool:
    # Whether a level more fits the side, which moves to a larger part of the arena if need be and there is one.
    if sides[side].count < sides[side].room:
        return True
    room = 2 * sides[side].room + 8
    start = counts[PLACES_AT]
    if start + room > len(keys):
        return False
    for at in range(sides[side].count):
        keys[start + at] = keys[sides[side].start + at]
        for part in range(PARTS):
            levels[start + at, part] = levels[sides[side].start + at, part]
    sides[side].start = start
    sides[side].room = room
    counts[PLACES_AT] = start + room
    return True


@jit_in_place
def _follow(
    books: Any,
    book: int,
    sequence: int,
    counted: int,
    faults: Any,
    counts: Int64s,
    row: int,
) -> None:
    # Several rows of one message have the same number.
    last = np.uint64(books[book].sequence)
    if counted and books[book].numbered:
        due = last + np.uint64(1)
        if sequence > due:
            write_fault(books, book, row, SEQUENCE_GAP, KEPT, np.nan, faults, counts)
        elif sequence < last:
            write_fault(books, book, row, SEQUENCE_BACK, KEPT, np.nan, faults, counts)
    books[book].sequence = np.int64(sequence)
    books[book].numbered = 1


@jit_in_place
def _clear(books: Any, book: int, sides: Any, levels: Floats, counts: Int64s) -> None:
    for side in range(2 * book, 2 * book + 2):
        start = sides[side].start
        for at in range(start, start + sides[side].count):
            counts[ORDERS_AT] -= np.int64(levels[at, ORDERS])
        counts[LEVELS_AT] -= sides[side].count
        sides[side].count = 0
    books[book].numbered = 0
    books[book].sequence = 0
    books[book].touched = 1
    books[book].emptied = 1


@jit_in_place
def _look(
    books: Any,
    book: int,
    sides: Any,
    keys: Floats,
    levels: Floats,
    depth: int,
    seen: Floats,
    calls: int,
    faults: Any,
    counts: Int64s,
    row: int,
) -> bool:
    # The book is whole: what has changed since it last was, what flowed, and whether it is crossed now.
    top = seen[book]
    bid, bid_size, ask, ask_size = top[0], top[1], top[2], top[3]
    changed = copy_best(sides, keys, levels, book, depth, seen)
    if top[TOP_WIDTH - 1] != books[book].state + 1:
        top[TOP_WIDTH - 1] = books[book].state + 1
        changed = True
    if not books[book].emptied:
        books[book].ofi += best_flow(bid, bid_size, ask, ask_size, top)
    crossing = 0
    # A book that is not traded on, as before an auction, may well be crossed.
    if top[1] > 0 and top[3] > 0 and books[book].state in (-1, TRADING):
        if top[0] > top[2]:
            crossing = 2
        elif top[0] == top[2]:
            crossing = 1
    # Nor is one that stays crossed while nothing is executed on it: orders are only called for.
    if crossing and calls and not books[book].executed:
        return changed
    if crossing and crossing != books[book].crossing:
        kind = CROSSED if crossing == 2 else LOCKED
        write_fault(books, book, row, kind, KEPT, top[0], faults, counts)
    books[book].crossing = crossing
    return changed
