"""Rows a second of the simulated market, and of the market on its way into a SQLite log."""

import tempfile
import time
from itertools import islice
from pathlib import Path

from bench.report import Result, seconds
from connectors.feeds.simulate import SimulateOptions, simulate
from connectors.feeds.simulator import Simulator, SimulatorOptions
from connectors.log import open_log
from connectors.topics import create_topics

_MARKET = SimulatorOptions(seed=1, symbols=300, rate=1_000_000)


def run(quick: bool) -> list[Result]:
    """All topics together."""
    slices = 50 if quick else 200
    market = iter(Simulator(_MARKET))
    # The first slices compile the kernels and fill the books.
    list(islice(market, 5))
    rows = 0

    def work() -> None:
        nonlocal rows
        rows = sum(batch.num_rows for piece in islice(market, slices) for _, batch, _ in piece)

    passed = seconds(work, 3 if quick else 5)
    return [
        Result(
            name="simulated market into batches",
            value=rows / passed,
            unit="rows/s",
            wanted="1 M rows/s",
            note="300 symbols, all topics",
        ),
        _appending(400_000 if quick else 2_000_000),
    ]


def _appending(rows: int) -> Result:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_log(f"sqlite:///{Path(folder) / 'log.db'}") as log,
    ):
        create_topics(log, 2)
        began = time.perf_counter()
        counts = simulate(log, _MARKET, SimulateOptions(rows=rows))
        passed = time.perf_counter() - began
    return Result(
        name="simulated market into a SQLite log",
        value=sum(counts.values()) / passed,
        unit="rows/s",
        note="300 symbols, all topics",
    )
