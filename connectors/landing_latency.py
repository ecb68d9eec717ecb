"""How long rows took from their append to their landing: a histogram by rows, of fixed size."""

from dataclasses import dataclass

import numpy as np

# Bounds grow by 1 %: a quantile is that exact. From 10 µs to about 10 days.
_GROWTH = 1.01
_FIRST_NS = 10_000
_BINS = 2_500


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles over rows, in milliseconds; zero rows have none."""

    rows: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class LatencyHistogram:
    """Counts rows by their latency."""

    def __init__(self) -> None:
        self._rows = np.zeros(_BINS, dtype=np.int64)
        self._max_ns = 0

    def add(self, latency_ns: int, rows: int) -> None:
        """Count rows that took so long; a negative latency (a clock set back) counts as none."""
        at = int(np.log(max(latency_ns, _FIRST_NS) / _FIRST_NS) / np.log(_GROWTH))
        self._rows[min(at, _BINS - 1)] += rows
        self._max_ns = max(self._max_ns, latency_ns)

    def result(self) -> Latency:
        """The quantiles so far."""
        rows = int(self._rows.sum())
        if rows == 0:
            return Latency(rows=0, p50_ms=None, p99_ms=None, max_ms=None)
        return Latency(
            rows=rows,
            p50_ms=self._quantile_ms(0.50),
            p99_ms=self._quantile_ms(0.99),
            max_ms=self._max_ns / 1e6,
        )

    def _quantile_ms(self, share: float) -> float:
        below = np.cumsum(self._rows)
        at = int(np.searchsorted(below, share * below[-1]))
        return float(_FIRST_NS * _GROWTH ** (at + 1) / 1e6)
