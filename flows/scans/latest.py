"""Last values of another stream, cell of time by cell of time, asked as of a time."""

from typing import Any

import numpy as np

from flows.kernels import scans as kernel
from flows.kernels.breadth_parts import UNSET
from schemas.arrays import Floats, Int64s


class Latest:
    """The newest values of each slot in each of its last cells of time.

    Parameters
    ----------
    fields : int
        Values a row has.
    room : int
        Cells that are kept of each slot.
    """

    def __init__(self, fields: int, room: int) -> None:
        self._fields = fields
        self._room = room
        self._allot(1)

    def keep(self, slots: Int64s, known: int, cells: Int64s, values: Floats) -> None:
        """Take rows in: slot (of so many known) and cell of each, shape (n,); values, shape (fields, n)."""
        self._make_room(known)
        kernel.keep(slots, cells, values, self._newest, self._cells, self._kept)

    def at(self, slots: Int64s, known: int, cells: Int64s, limit: int) -> Floats:
        """Newest values of a cell or one at most ``limit`` before it, shape (fields, n); NaN for none."""
        self._make_room(known)
        found: Floats = kernel.latest(slots, cells, limit, self._newest, self._cells, self._kept)
        return found

    def saved(self, known: int) -> dict[str, Any]:
        """The state of so many slots as arrays, for a snapshot."""
        self._make_room(known)
        return {
            "newest": self._newest[:known],
            "cells": self._cells[:known],
            "kept": self._kept[:known],
        }

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take over what `saved` gave."""
        self._allot(max(1, len(arrays["newest"])))
        self._fill(**arrays)

    def _make_room(self, known: int) -> None:
        if known > len(self._newest):
            kept = self.saved(len(self._newest))
            self._allot(2 * known)
            self._fill(**kept)

    def _allot(self, slots: int) -> None:
        self._newest: Int64s = np.zeros(slots, np.int64)
        self._cells: Int64s = np.full((slots, self._room), UNSET)
        self._kept: Floats = np.full((slots, self._room, self._fields), np.nan)

    def _fill(self, newest: Int64s, cells: Int64s, kept: Floats) -> None:
        self._newest[: len(newest)] = newest
        self._cells[: len(cells)] = cells
        self._kept[: len(kept)] = kept
