"""Frontiers: for each key and input, the time before which no row will be used any more."""

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Bools, Int64s

UNSET = np.iinfo(np.int64).min


@jit
def advance(frontier: Int64s, slots: Int64s, times: Int64s, lateness: int, before: Int64s) -> None:
    """Advance the frontiers of keys row by row, and note each row's frontier before it.

    Parameters
    ----------
    frontier : numpy.ndarray of int64, shape (keys,)
        Changed in place: running maximum of (time - lateness).
    slots, times : numpy.ndarray of int64, shape (n,)
        Key slot and event time of each row, ns.
    lateness : int
        Allowed lateness, ns.
    before : numpy.ndarray of int64, shape (n,)
        Filled: the key's frontier before the row; a row is behind it if its time is smaller.
    """
    for i in range(len(slots)):
        slot = slots[i]
        before[i] = frontier[slot]
        reached = times[i] - lateness
        frontier[slot] = max(frontier[slot], reached)


class Frontiers:
    """Frontiers and watermarks of every key, input by input.

    Parameters
    ----------
    lateness : list of int
        Allowed lateness of each partitioned input's topic, ns.
    """

    def __init__(self, lateness: list[int]) -> None:
        self.lateness = lateness
        self.frontier = np.full((len(lateness), 64), UNSET, dtype=np.int64)
        self.watermark = np.full((len(lateness), 64), UNSET, dtype=np.int64)
        self.forwarded = np.full(64, UNSET, dtype=np.int64)

    def grow(self, keys: int) -> None:
        """Make room for so many keys."""
        have = self.frontier.shape[1]
        if keys <= have:
            return
        more = max(keys, 2 * have) - have
        self.frontier = np.pad(self.frontier, ((0, 0), (0, more)), constant_values=UNSET)
        self.watermark = np.pad(self.watermark, ((0, 0), (0, more)), constant_values=UNSET)
        self.forwarded = np.pad(self.forwarded, (0, more), constant_values=UNSET)

    def on_rows(self, at: int, slots: Int64s, times: Int64s) -> Int64s:
        """Advance by rows of input ``at``; the key's frontier before each row, shape (n,)."""
        before = np.empty(len(slots), dtype=np.int64)
        advance(self.frontier[at], slots, times, self.lateness[at], before)
        return before

    def on_watermarks(self, at: int, slots: Int64s, times: Int64s) -> None:
        """Advance by watermark rows of input ``at``."""
        np.maximum.at(self.watermark[at], slots, times)
        np.maximum.at(self.frontier[at], slots, times)

    def smallest(self, inputs: Int64s | None = None) -> Int64s:
        """The smallest frontier over all inputs, or over those at these places; shape (keys,)."""
        chosen = self.frontier if inputs is None else self.frontier[inputs]
        smallest: Int64s = chosen.min(axis=0)
        return smallest

    def newly_passed(self, inputs: Int64s | None = None) -> tuple[Int64s, Int64s]:
        """Slots, and the times up to which a watermark row has let time pass, each told once.

        A key's smallest frontier is told as far as a watermark row of any input covers it; beyond, where
        rows alone carried it, the rows themselves tell the time. What has been told hangs on the
        frontiers only, not on the steps in which they came there: those are cuts into batches.
        """
        covered = np.minimum(self.smallest(inputs), self.watermark.max(axis=0))
        due: Bools = covered > self.forwarded
        slots = np.flatnonzero(due)
        self.forwarded[slots] = covered[slots]
        return slots.astype(np.int64), covered[slots]
