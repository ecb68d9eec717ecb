"""The scans of one interval: their series, crossings and matches, symbol by symbol."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flows.kernels import scans as kernel
from flows.scans.evaluate import Columns, Scan
from flows.scans.resolution import Resolved, Series
from schemas.arrays import Bools, Floats, Int64s

_KEYS = 16


class Board:
    """What is asked of the bars of one interval.

    Parameters
    ----------
    scans : sequence of Scan
        The scans of the interval, in order.
    """

    def __init__(self, scans: Sequence[Scan]) -> None:
        self.scans = scans
        chosen = {
            one.series.key: one.series
            for scan in scans
            for one in scan.resolved.values()
            if one.series is not None
        }
        self._series: list[Series] = list(chosen.values())
        self._places = {key: place for place, key in enumerate(chosen)}
        self._parameters = [np.array(one.parameters, np.float64) for one in self._series]
        self._allot(_KEYS)

    def matches(
        self,
        slots: Int64s,
        keys: int,
        bars: Floats,
        read: Callable[[str, Resolved], Any],
    ) -> list[tuple[Int64s, Bools, list[dict[str, Any]]]]:
        """Take bars in, in order; give for each scan who begins and who ceases to match.

        Parameters
        ----------
        slots : numpy.ndarray of int64, shape (n,)
            Slot of each bar's symbol.
        keys : int
            Number of symbols known.
        bars : numpy.ndarray of float64, shape (7, n)
            As kernels of indicators take them.
        read : callable
            Gives values of criteria that are no series (see `flows.scans.evaluate.Columns`).

        Returns
        -------
        list of tuple
            For each scan: rows, shape (m,); whether they begin to match, shape (m,); and the values of the
            scan's criteria at each of them.
        """
        self._make_room(keys)
        series = self._values(bars, slots)

        def value(name: str, resolved: Resolved) -> Any:
            if resolved.series is None:
                return read(name, resolved)
            return series[self._places[resolved.series.key]][resolved.output]

        columns = Columns(len(slots), value, slots)
        found = []
        for scan, matching, before in zip(self.scans, self._matching, self._before, strict=True):
            truth = columns.truth(scan, scan.tree, before)
            rows, begins = kernel.changes(truth.true, slots, matching)
            terms = {name: columns.of(scan, name)[rows].tolist() for name in scan.criteria}
            found.append(
                (
                    rows,
                    begins,
                    [
                        dict(zip(terms, row, strict=True))
                        for row in zip(*terms.values(), strict=True)
                    ],
                )
            )
        return found

    def saved(self, keys: int) -> dict[str, Any]:
        """The state of so many symbols as arrays, for a snapshot: also of those that had no bar here yet."""
        self._make_room(keys)
        arrays: dict[str, Any] = {
            f"series{at}": state[:keys] for at, state in enumerate(self._states)
        }
        for at, (matching, before) in enumerate(zip(self._matching, self._before, strict=True)):
            arrays[f"matching{at}"] = matching[:keys]
            arrays |= {f"before{at}.{place}": one[:keys] for place, one in enumerate(before)}
        return arrays

    def restore(self, keys: int, arrays: dict[str, Any]) -> None:
        """Take over what `saved` gave."""
        self._allot(max(_KEYS, keys))
        for name, state in self.saved(keys).items():
            # Snapshots of before 2026-11-22 lack the rows of symbols that had no bar of this interval yet.
            state[: len(arrays[name])] = arrays[name]

    def _allot(self, keys: int) -> None:
        self._room = keys
        self._states = [np.zeros((keys, one.width)) for one in self._series]
        self._matching = [np.zeros(keys, np.bool_) for _ in self.scans]
        self._before = [[np.full((keys, 2), np.nan) for _ in scan.crossings] for scan in self.scans]

    def _make_room(self, keys: int) -> None:
        if keys > self._room:
            kept, room = self.saved(self._room), self._room
            self._allot(2 * keys)
            for name, state in self.saved(room).items():
                state[:] = kept[name]

    def _values(self, bars: Floats, slots: Int64s) -> list[Floats]:
        found = []
        for one, state, parameters in zip(
            self._series, self._states, self._parameters, strict=True
        ):
            values = np.empty((len(one.indicator.outputs), len(slots)))
            one.indicator.kernel(bars, slots, state, parameters, values)
            found.append(values)
        return found
