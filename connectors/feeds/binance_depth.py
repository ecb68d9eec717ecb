"""Binance depth: which updates a book may take, by the venue's rules, and their rows.

A book begins with a snapshot. Updates that come before it are held, since a snapshot is often older than the
updates that arrive before it; those that go beyond it are given with it. From then on each update must follow
the last one: where one is missing the book is cleared, with a notice, until the next snapshot.

Reference: "How to manage a local order book correctly" in the pages that `connectors.feeds.binance` names.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from connectors.feeds.depth import NO_LEVELS, DepthUpdate
from connectors.feeds.messages import Notice

# Updates held for a snapshot: half a minute of the busiest stream. A snapshot that takes longer
# finds a gap, and another one is needed.
_HELD = 1024

_WAITS = "depth update held until a snapshot"
_STALE = "depth update older than the book"
_OLD_SNAPSHOT = "depth snapshot older than the book"


@dataclass(kw_only=True)
class Booked:
    """Updates for the books in order, messages left out by reason, and what was noticed."""

    updates: list[DepthUpdate] = field(default_factory=list)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the updates, in the order in which they come."""
        return tuple(dict.fromkeys(update.symbol for update in self.updates))

    def skip(self, why: str, at: int) -> None:
        """Leave a message out."""
        self.skipped.setdefault(why, []).append(at)

    def notice(self, kind: str, update: DepthUpdate, expected: int | None = None) -> None:
        """Notice something about an update."""
        self.notices.append(
            Notice(
                at=update.at,
                kind=kind,
                symbol=update.symbol,
                stream="depth",
                expected=expected,
                found=update.last if update.snapshot else update.follows + 1,
            )
        )


@dataclass(slots=True)
class _Book:
    """A symbol's last update number, None without a book; updates that wait; whether it had a book once."""

    last: int | None = None
    held: deque[DepthUpdate] = field(default_factory=lambda: deque(maxlen=_HELD))
    lost: bool = False


class DepthBooks:
    """The state of the depth streams of one connection."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Symbols, as Binance writes them, that had updates and need a snapshot."""
        return tuple(name for name, book in self._books.items() if book.last is None)

    def forget(self) -> None:
        """A new connection: every book needs a snapshot again."""
        for book in self._books.values():
            book.lost = book.lost or book.last is not None
            book.last = None
            book.held.clear()

    def take(self, updates: Sequence[DepthUpdate]) -> Booked:
        """Take updates in order."""
        booked = Booked()
        for update in updates:
            book = self._books.setdefault(update.symbol, _Book())
            if update.snapshot:
                _begin(book, update, booked)
            elif book.last is None:
                _hold(book, update, booked)
            elif update.last <= book.last:
                booked.skip(_STALE, update.at)
            elif update.follows <= book.last:
                book.last = update.last
                booked.updates.append(update)
            else:
                booked.notice("gap", update, expected=book.last + 1)
                booked.updates.append(_clear(update))
                book.last, book.lost = None, True
                _hold(book, update, booked)
        return booked


def _begin(book: _Book, snapshot: DepthUpdate, booked: Booked) -> None:
    """Begin a book with a snapshot, and give the held updates that go beyond it."""
    beyond = [update for update in book.held if update.last > snapshot.last]
    if book.last is not None and snapshot.last < book.last:
        booked.skip(_OLD_SNAPSHOT, snapshot.at)
        return
    if beyond and beyond[0].follows > snapshot.last:
        booked.skip(_OLD_SNAPSHOT, snapshot.at)
        booked.notice("snapshot_failed", snapshot, expected=beyond[0].follows)
        return
    if book.lost:
        booked.notice("resynchronised", snapshot)
    booked.updates.append(snapshot)
    book.last, book.lost = snapshot.last, False
    book.held.clear()
    for at, update in enumerate(beyond):
        now = replace(update, at=snapshot.at)
        if update.follows > book.last:
            booked.notice("gap", now, expected=book.last + 1)
            booked.updates.append(_clear(now))
            book.last, book.lost = None, True
            book.held.extend(beyond[at:])
            return
        book.last = update.last
        booked.updates.append(now)


def _hold(book: _Book, update: DepthUpdate, booked: Booked) -> None:
    # Copies: a slice would keep all of its block in memory.
    book.held.append(replace(update, price=update.price.copy(), size=update.size.copy()))
    booked.skip(_WAITS, update.at)


def _clear(update: DepthUpdate) -> DepthUpdate:
    """A book without levels, from the time of an update on."""
    return replace(update, price=NO_LEVELS, size=NO_LEVELS, bids=0, snapshot=True)
