"""What a benchmark gives back: figures with their baseline of the same run and the wanted value."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, kw_only=True)
class Result:
    """One figure: median of several rounds, and what it is measured against."""

    name: str
    value: float
    unit: str
    wanted: str = ""
    baseline: float | None = None
    baseline_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over baseline."""
        return None if not self.baseline else self.value / self.baseline


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """Median wall seconds of several rounds of work."""
    times = []
    for _ in range(rounds):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)
