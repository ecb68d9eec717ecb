"""What the bar kernels work on: the fixed specification, the state of all keys, and what is written.

Records lie together in memory, because a trade touches all fields of a few windows. They have 8-byte
fields only, so that a snapshot can hold them as plain integers.
"""

from typing import Any

import numpy as np

from flows.kernels.kept_trades import KEPT
from schemas.arrays import Int64s
from schemas.sessions import session_starts

# One more whenever what a snapshot holds changes: an older one is then refused, not misread.
SNAPSHOT_LAYOUT = 3

NEVER = np.iinfo(np.int64).min
ENDLESS = np.iinfo(np.int64).max

# A key: its frontier, the end of its first window to close, the index of its calendar, and the newest time of
# its trades that are not kept: a window that begins later can be computed again. And whether a window that is
# open has been corrected.
KEY = np.dtype(
    [
        ("frontier", "i8"),
        ("next_end", "i8"),
        ("calendar", "i8"),
        ("lost", "i8"),
        ("corrected", "i8"),
    ]
)

# A key and an interval: the place in the ring used last, and the end of its next window to write, with
# trades or filled. Where empty windows are filled: the end of the bar written last, the last close of that
# bar's session (NaN where it has none), and the end of the last empty window to fill behind it, with no
# trade until then.
PAIR = np.dtype(
    [
        ("place", "i8"),
        ("next_end", "i8"),
        ("last_end", "i8"),
        ("last_close", "f8"),
        ("fill_end", "i8"),
    ]
)

# An open window of a key and an interval; a place in the ring is free where the count is 0. The count is of
# all trades that came, also of those cancelled since. Where a trade was corrected since, nothing but start, end
# and count can be relied on: the rest is computed again when the window closes. Prices are NaN before the
# first that counts.
WINDOW = np.dtype(
    [
        ("start", "i8"),
        ("end", "i8"),
        ("count", "i8"),
        ("cancelled", "i8"),
        ("corrected", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("turnover", "f8"),
        ("buy", "f8"),
        ("sell", "f8"),
    ]
)

BAR = np.dtype(
    [
        ("key", "i8"),
        ("interval", "i8"),
        ("end", "i8"),
        ("start", "i8"),
        ("count", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("vwap", "f8"),
        ("buy", "f8"),
        ("sell", "f8"),
    ]
)

LATE = np.dtype(
    [("row", "i8"), ("interval", "i8"), ("end", "i8"), ("frontier", "i8"), ("used", "i8")]
)

# What is told beside a revised bar: the correction's row, and the number of the revision.
REVISED = np.dtype([("row", "i8"), ("revision", "i8")])

# A correction that was not applied: its row, and the number of the reason.
UNAPPLIED = np.dtype([("row", "i8"), ("reason", "i8")])

# What a pass has written so far: bars, late rows, corrections not applied, revised bars.
BARS_AT, LATE_AT, CORRECTIONS_AT, REVISED_AT = 0, 1, 2, 3

# No session window is shorter, whatever a calendar's clocks do: 24 hours less an hour or so.
_SHORTEST_SESSION_NS = 20 * 3_600_000_000_000


class Spec:
    """Intervals, calendars and lateness, as the kernels read them.

    Parameters
    ----------
    lengths : list of int
        Length of each interval in ns; 0 for the calendar's session.
    calendars : list of str
        The calendars that keys may have.
    lateness_ns : int
        How far a key's frontier trails its newest row.
    fill_limit : int
        Longest run of empty windows that is filled; 0 for no filling.
    """

    def __init__(
        self, lengths: list[int], calendars: list[str], lateness_ns: int, fill_limit: int
    ) -> None:
        self.lengths = np.array(lengths, dtype=np.int64)
        shortest = np.where(self.lengths > 0, self.lengths, _SHORTEST_SESSION_NS)
        # The windows of a key that are open at once overlap a span as long as the lateness.
        self.rings: Int64s = -(-lateness_ns // shortest) + 1
        starts = [session_starts(calendar) for calendar in calendars]
        self.starts = np.concatenate(starts)
        self.bounds = np.cumsum([0, *(len(part) for part in starts)], dtype=np.int64)
        self.lateness_ns = lateness_ns
        self.fill_limit = fill_limit

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Lengths, rings, session starts, their bounds, lateness and fill limit."""
        return (
            self.lengths,
            self.rings,
            self.starts,
            self.bounds,
            self.lateness_ns,
            self.fill_limit,
        )


class BarState:
    """The state of all keys.

    Parameters
    ----------
    room : int
        Keys that fit, at least 1.
    spec : Spec
        Says how many intervals there are, and how many windows of each can be open at once.

    Attributes
    ----------
    keys : numpy.ndarray of KEY, shape (room,)
    pairs : numpy.ndarray of PAIR, shape (room * intervals,)
    windows : numpy.ndarray of WINDOW, shape (room * intervals * longest ring,)
    """

    def __init__(self, room: int, spec: Spec) -> None:
        self.room = room
        intervals = len(spec.lengths)
        self.keys = np.zeros(room, KEY)
        self.keys["frontier"] = NEVER
        self.keys["next_end"] = ENDLESS
        self.keys["lost"] = NEVER
        self.pairs = np.zeros(room * intervals, PAIR)
        self.pairs["next_end"] = ENDLESS
        self.pairs["last_end"] = NEVER
        self.pairs["fill_end"] = NEVER
        self.pairs["last_close"] = np.nan
        self.windows = np.zeros(room * intervals * int(spec.rings.max()), WINDOW)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arrays in the order in which the kernels take them."""
        return (self.keys, self.pairs, self.windows)

    def grown(self, room: int, spec: Spec) -> "BarState":
        """The same state with room for so many keys."""
        bigger = BarState(room, spec)
        for old, new in zip(self.arguments, bigger.arguments, strict=True):
            new[: len(old)] = old
        return bigger

    def snapshot(self, count: int) -> dict[str, Any]:
        """The first `count` keys' state as arrays of int64."""
        return {
            name: array.view(np.int64).reshape(self.room, -1)[:count]
            for name, array in zip(("keys", "pairs", "windows"), self.arguments, strict=True)
        }

    @classmethod
    def resumed(cls, arrays: dict[str, Any], spec: Spec) -> "BarState":
        """The state that `snapshot` gave the arrays of."""
        state = cls(max(len(arrays["keys"]), 1), spec)
        for name in ("keys", "pairs", "windows"):
            values = arrays[name]
            getattr(state, name).view(np.int64)[: values.size] = values.reshape(-1)
        return state


class Written:
    """Room for what one pass of a kernel writes; when it is full the pass stops, to be gone on with.

    Parameters
    ----------
    room : int
        Bars, late rows, corrections not applied and revised bars that fit.
    """

    def __init__(self, room: int) -> None:
        self.bars = np.empty(room, BAR)
        self.late = np.empty(room, LATE)
        self.corrections = np.empty(room, UNAPPLIED)
        self.new_bars = np.empty(room, BAR)
        self.old_bars = np.empty(room, BAR)
        self.told = np.empty(room, REVISED)
        self.counts = np.zeros(4, dtype=np.int64)
        self.arguments = (self.bars, self.late, self.corrections, self.counts)
        # With room for one correction while it is applied: itself, the trade as it was, its own name; a
        # window as corrected and as before.
        self.revised = (
            self.new_bars,
            self.old_bars,
            self.told,
            np.zeros(3, KEPT),
            np.zeros(2, WINDOW),
            self.counts,
        )
