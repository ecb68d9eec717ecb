"""Where the venue's events end in Databento records, and where snapshots begin: by their flags."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from connectors.feeds.dbn_records import Records
from connectors.feeds.source import BrokenFileError
from schemas.arrays import Bools, Int64s

_LAST, _SNAPSHOT = 0x80, 0x20
_CLEAR, _TRADE = ord("R"), ord("T")
# Records without any event's end are held together up to so many blocks: then they are cut anywhere.
_HELD_BLOCKS = 16


@dataclass(frozen=True, kw_only=True)
class Events:
    """What the flags of n records say.

    Parameters
    ----------
    snapshot : numpy.ndarray of bool, shape (n,)
        Records of a snapshot.
    snapshot_starts : numpy.ndarray of int64
        Indices, ascending, of the records that begin one and are no clear themselves.
    book_ends : numpy.ndarray of bool, shape (n,)
        The last record of each event that is no trade.
    """

    snapshot: Bools
    snapshot_starts: Int64s
    book_ends: Bools


def whole_events(read: Iterable[Records], block_records: int) -> Iterator[tuple[Records, Events]]:
    """Blocks cut anew so that events are whole, each with what its flags say.

    Raises
    ------
    BrokenFileError
        That of the records, behind what was read.
    """
    held: Records | None = None
    inside: frozenset[int] = frozenset()
    broken: BrokenFileError | None = None
    blocks = iter(read)
    while True:
        try:
            block = next(blocks, None)
        except BrokenFileError as error:
            broken, block = error, None
        if block is None:
            break
        held = block if held is None else held.joined(block)
        cut = _Flags(held, inside, at_end=False).closed()
        if cut == 0:
            if len(held.values) < _HELD_BLOCKS * block_records:
                continue
            head, held = held, None
        else:
            head, held = held.split(cut)
        flags = _Flags(head, inside, at_end=cut > 0)
        yield head, flags.events()
        inside = flags.inside()
    if held is not None and held.last_line:
        yield held, _Flags(held, inside, at_end=True).events()
    if broken is not None:
        raise broken


class _Flags:
    """The flags of some records, instrument by instrument.

    Parameters
    ----------
    records : Records
        n of them.
    inside : frozenset of int
        Instruments that are within a snapshot before the first record.
    at_end : bool
        Whether no event goes on behind the last record.
    """

    def __init__(self, records: Records, inside: frozenset[int], *, at_end: bool) -> None:
        values = records.values
        self._instrument = instrument = values["instrument_id"]
        self._order = order = np.arange(len(values))
        if len(values) and (instrument != instrument[0]).any():
            self._order = order = np.argsort(instrument, kind="stable")
        flags, self._action = values["flags"][order], values["action"][order]
        self._snapshot = snapshot = (flags & _SNAPSHOT) != 0
        self._new = np.ones(len(values), np.bool_)
        self._new[1:] = np.diff(instrument[order]) != 0
        over = np.full(len(values), at_end)
        over[:-1] = np.where(self._new[1:], at_end, ~snapshot[1:])
        self._last = ((flags & _LAST) != 0) | (snapshot & over)
        goes_on = np.zeros(len(values), np.bool_)
        goes_on[1:] = snapshot[:-1] & ~self._last[:-1] & ~self._new[1:]
        if inside:
            goes_on |= self._new & np.isin(instrument[order], list(inside))
        self._starts_snapshot = snapshot & ~goes_on & (self._action != _CLEAR)
        self._begins = self._new.copy()
        self._begins[1:] |= self._last[:-1]

    def closed(self) -> int:
        """How many records can be cut off so that every event in them is whole."""
        if not len(self._order):
            return 0
        steps = np.empty(len(self._order), np.int64)
        steps[self._order] = self._begins.astype(np.int64) - self._last
        whole = np.flatnonzero(np.cumsum(steps) == 0)
        return int(whole[-1]) + 1 if len(whole) else 0

    def inside(self) -> frozenset[int]:
        """Instruments that are within a snapshot behind the last record."""
        final = np.ones(len(self._order), np.bool_)
        final[:-1] = self._new[1:]
        within = self._order[final & self._snapshot & ~self._last]
        return frozenset(self._instrument[within].tolist())

    def events(self) -> Events:
        """What they say."""
        snapshot, book_ends = (np.zeros(len(self._order), np.bool_) for _ in range(2))
        snapshot[self._order] = self._snapshot
        event = np.cumsum(self._begins) - 1
        is_whole = np.zeros(len(event) + 1, np.bool_)
        is_whole[event[self._last]] = True
        # An event's end goes over to its last record that is no trade.
        book = np.flatnonzero(self._action != _TRADE)
        mine = event[book]
        ends = np.ones(len(mine), np.bool_)
        ends[:-1] = mine[1:] != mine[:-1]
        book_ends[self._order[book]] = ends & is_whole[mine]
        return Events(
            snapshot=snapshot,
            snapshot_starts=np.sort(self._order[self._starts_snapshot]),
            book_ends=book_ends,
        )
