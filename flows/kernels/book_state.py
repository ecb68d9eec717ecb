"""What the book kernels work on, record by record, and the room for what one pass writes.

Orders lie in one open-addressing hash table. The price levels of a side lie in order of their price in a
part of one arena, the best one last, so that what happens near the touch moves few of them. Records have
8-byte fields only, so that a snapshot can hold them as plain integers.
"""

import numpy as np

from schemas.book import FAULT_KINDS, LEVELS, RESOLUTIONS

# One more whenever what a snapshot holds changes: an older one is then refused, not misread.
SNAPSHOT_LAYOUT = 1

NEVER = np.iinfo(np.int64).min
ENDLESS = np.iinfo(np.int64).max

# What is known of a venue: its sequence numbers count every message of a symbol; its books may cross before
# an auction.
COUNTS_EVERY, CALLS = 1, 2

# The numbers of what a book event can do, be on, and say.
ACTIONS = (
    "add",
    "modify",
    "cancel",
    "execute",
    "level",
    "clear",
    "halt",
    "fill",
    "hidden_execute",
)
ADD, MODIFY, CANCEL, EXECUTE, LEVEL, CLEAR, HALT, FILL, HIDDEN_EXECUTE = range(9)
SIDES = ("buy", "sell")
STATES = ("halted", "quoting", "trading")
TRADING = STATES.index("trading")

# A symbol: its first and last book, the one used last, its frontier, and the end of the interval in which
# books of it have changed (only where rows are conflated).
SYMBOL = np.dtype(
    [("first", "i8"), ("last", "i8"), ("recent", "i8"), ("frontier", "i8"), ("end", "i8")]
)

# A book: its names, the symbol's next book, rows and faults written, the last sequence number (as bits) and
# whether there is one, the trading state (-1 if not told), whether it was told that it is locked (1) or
# crossed (2), whether since the venue's last event its best levels may have changed, it was emptied, it was
# executed on, whether a row of it is due at the interval's end, the number of its newest level, and the order-flow imbalance
# since the row before.
BOOK = np.dtype(
    [
        ("symbol", "i8"),
        ("venue", "i8"),
        ("next", "i8"),
        ("number", "i8"),
        ("faults", "i8"),
        ("sequence", "i8"),
        ("numbered", "i8"),
        ("state", "i8"),
        ("crossing", "i8"),
        ("touched", "i8"),
        ("emptied", "i8"),
        ("executed", "i8"),
        ("due", "i8"),
        ("levels", "i8"),
        ("ofi", "f8"),
    ]
)

# A side of a book: its part of the arena of levels. Side s of book b is number 2 b + s.
SIDE = np.dtype([("start", "i8"), ("room", "i8"), ("count", "i8")])

# A level: its key is the price of a bid and the negative price of an ask, so that the best key is the
# greatest. The sum of its orders' sizes in two parts (`flows.kernels.book_levels`), the size that no known order
# explains, how many orders it has, and its number, which no other level of the book ever has.
SUM, SUM_LOW, REST, ORDERS, NUMBER = range(5)
PARTS = 5

# An order: its id, its side (number as above, FREE for an entry without an order), the number and key of its
# level, what is left of it, and what there was of it at first.
ORDER = np.dtype(
    [
        ("id", "u8"),
        ("place", "i8"),
        ("level", "f8"),
        ("key", "f8"),
        ("size", "f8"),
        ("whole", "f8"),
    ]
)
FREE = -1

# The best levels as a row has them (bid, size, ask, size of each level, zeros where there is none), and the
# trading state behind them.
TOP_WIDTH = 4 * LEVELS + 1

# What is behind the levels in a row: spread, mid, microprice, imbalance, imbalance_depth, ofi.
MEASURES = 6
ROW_WIDTH = 4 * LEVELS + MEASURES

FAULT = np.dtype(
    [
        ("row", "i8"),
        ("book", "i8"),
        ("number", "i8"),
        ("kind", "i8"),
        ("resolution", "i8"),
        ("known", "f8"),
        ("expected", "u8"),
    ]
)
(
    INCOMPLETE,
    UNKNOWN_ORDER,
    DUPLICATE_ORDER,
    OVERSIZED,
    OTHER_PRICE,
    OTHER_SIDE,
    NEGATIVE,
    SEQUENCE_GAP,
    SEQUENCE_BACK,
    LOCKED,
    CROSSED,
) = range(len(FAULT_KINDS))
(
    IGNORED,
    ADDED,
    REPLACED,
    ZEROED,
    OWN_PRICE_KEPT,
    OWN_SIDE_KEPT,
    KEPT,
) = range(len(RESOLUTIONS))

# No row has more faults: one of the sequence, and a few of the order and the level.
FAULTS_PER_ROW = 6

LATE = np.dtype([("row", "i8"), ("end", "i8"), ("frontier", "i8")])

# What a pass counts: rows, faults and late rows written; orders, levels and books there are; entries of the
# order table that are taken, by orders that are gone too; places of the arena that were given out; what
# must grow before it can go on.
(
    ROWS_AT,
    FAULTS_AT,
    LATE_AT,
    ORDERS_AT,
    LEVELS_AT,
    BOOKS_AT,
    ENTRIES_AT,
    PLACES_AT,
    NEED_AT,
) = range(9)
NO_NEED, MORE_ORDERS, MORE_LEVELS, MORE_BOOKS = range(4)


class Written:
    """Room for what one pass writes; when it is full the pass stops, to be gone on with.

    Parameters
    ----------
    room : int
        Rows, and a multiple of it faults and late rows, that fit.

    Attributes
    ----------
    rows : numpy.ndarray of int64, shape (room, 4)
        Book, event time, number and trading state of each row.
    values : numpy.ndarray of float64, shape (room, ROW_WIDTH)
        Levels and measures of each row, NaN for null.
    faults, late : numpy.ndarray of FAULT, LATE
    """

    def __init__(self, room: int) -> None:
        self.rows = np.empty((room, 4), dtype=np.int64)
        self.values = np.full((room, ROW_WIDTH), np.nan)
        self.faults = np.empty(room + FAULTS_PER_ROW, FAULT)
        self.late = np.empty(room, LATE)
        self.arguments = (self.rows, self.values, self.faults, self.late)
