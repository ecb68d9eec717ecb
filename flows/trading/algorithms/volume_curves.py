"""What algorithms know of a symbol before they begin: how its volume is spread over the day, and how its price moves.

Learned from ``bars`` of earlier days; the running one does not count, for it is not over. A day's volume is taken by
its shares, so that a wild day weighs no more than a calm one, and of twenty days the mean is taken; older ones fade.
"""

import base64
from typing import Any

import numpy as np
import pyarrow as pa

from flows.columns import Codes, floats_or_nan, times_ns
from flows.intervals import interval_ns
from flows.kernels.volume_curves import BIN_NS, BINS, CURVE, learn
from flows.keys import KeySlots
from flows.trading.interfaces import Curves
from schemas.arrays import Floats, Int64s
from schemas.sessions import DAY_NS, DEFAULT_CALENDAR, session_starts

MAX_SYMBOLS = 20_000
"""Symbols that are learned of; further ones have no curve, and their reports say so."""

# As short as a bin at most, so that a bar lies in one bin.
_INTERVALS = ("1m", "2m", "5m", "10m")

_ROOM = 64


class VolumeCurves(Curves):
    """Curves of all symbols of a shard; see `Curves`.

    Parameters
    ----------
    saved : dict or None
        What `saved` of an earlier one gave.
    """

    def __init__(self, saved: Any) -> None:
        saved = saved or {}
        self._keys = KeySlots(saved.get("symbols", []), MAX_SYMBOLS)
        self._codes = Codes(_INTERVALS)
        self._lengths = np.array([*map(interval_ns, _INTERVALS), 0], np.int64)
        self._starts: Int64s | None = None
        room = max(_ROOM, len(self._keys))
        self._curves = np.zeros(room, CURVE)
        self._today = np.zeros((room, BINS))
        self._learned = np.zeros((room, BINS))
        for name, array in self._arrays().items():
            if name in saved:
                found = np.frombuffer(base64.b64decode(saved[name]), array.dtype)
                array[: len(self._keys)] = found.reshape(-1, *array.shape[1:])

    def take(self, bars: pa.RecordBatch) -> None:
        """Take rows of ``bars`` in."""
        codes = self._codes.of(bars.column("interval"))
        used = np.flatnonzero(codes >= 0)
        if not len(used):
            return
        slots = self._slots(bars.column("symbol"), used)
        self._make_room()
        if self._starts is None:
            self._starts = session_starts(DEFAULT_CALENDAR)
        learn(
            slots,
            self._lengths[codes[used]],
            times_ns(bars.column("ts_start"))[used],
            np.ascontiguousarray(floats_or_nan(bars.column("close"))[used]),
            np.ascontiguousarray(floats_or_nan(bars.column("volume"))[used]),
            self._starts,
            self._curves,
            self._today,
            self._learned,
        )

    def of(self, symbol: str) -> Any:
        """What is known of a symbol.

        Returns
        -------
        dict or None
            ``days`` learned, ``volume`` a day, ``volatility`` (of the logarithm of the price, per square root of a
            second; 0 where not known), ``shares`` of the volume by bins of the day; None where no day is over yet.
        """
        slot = self._keys.keys.index(symbol) if symbol in self._keys.keys else -1
        if slot < 0 or not self._curves["days"][slot]:
            return None
        curve = self._curves[slot]
        return {
            "days": int(curve["days"]),
            "volume": float(curve["mean_volume"]),
            "volatility": float(np.sqrt(curve["variance"])),
            "shares": self._learned[slot].tolist(),
        }

    def saved(self) -> Any:
        """All of it as JSON values: arrays as base64 of their bytes."""
        count = len(self._keys)
        arrays = {
            name: base64.b64encode(array[:count].tobytes()).decode()
            for name, array in self._arrays().items()
        }
        return {"symbols": list(self._keys.keys), **arrays}

    def _arrays(self) -> dict[str, Any]:
        return {"curves": self._curves, "today": self._today, "learned": self._learned}

    def _slots(self, column: pa.DictionaryArray, used: Int64s) -> Int64s:
        names = column.dictionary.to_pylist()
        codes = column.indices.to_numpy(zero_copy_only=False)[used]
        of_code = np.full(len(names), -1, np.int64)
        present, first = np.unique(codes, return_index=True)
        for code in present[np.argsort(first)].tolist():
            of_code[code] = self._slot(names[code])
        slots: Int64s = of_code[codes]
        return slots

    def _slot(self, symbol: str) -> int:
        if len(self._keys) >= MAX_SYMBOLS and symbol not in self._keys.keys:
            return -1
        return self._keys.slot(symbol)

    def _make_room(self) -> None:
        room = len(self._curves)
        if len(self._keys) <= room:
            return
        more = max(len(self._keys), 2 * room) - room
        self._curves = np.append(self._curves, np.zeros(more, CURVE))
        self._today = np.append(self._today, np.zeros((more, BINS)), axis=0)
        self._learned = np.append(self._learned, np.zeros((more, BINS)), axis=0)


def curve_weights(shares: list[float], edges: list[int]) -> list[float]:
    """Share of a day's volume that falls between times, each bin's spread evenly over it.

    Parameters
    ----------
    shares : list of float
        Of the volume by bins of the day, as `VolumeCurves.of` gives them.
    edges : list of int
        Ascending times, ns since 1970 UTC, of one day.

    Returns
    -------
    list of float
        One less than there are edges.
    """
    starts = session_starts(DEFAULT_CALENDAR)
    at = int(np.searchsorted(starts, edges[0], side="right")) - 1
    midnight = int(starts[max(at, 0)])
    sums: Floats = np.append(0.0, np.cumsum(shares))
    grid = np.arange(BINS + 1) * float(BIN_NS)
    # A time of day behind midnight begins the day again: whole days are added as whole curves.
    offsets = np.array([edge - midnight for edge in edges], np.int64)
    whole, part = np.divmod(offsets, DAY_NS)
    reached = whole * sums[-1] + np.interp(part, grid, sums)
    return [float(one) for one in np.diff(reached)]
