"""What exactly once costs, how long a snapshot stops a flow, and how soon a killed flow gives rows again.

All on the embedded log, with trades that a seed makes.
"""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, sleep, thread_time

from bench.exactly_once import cost, log_of
from bench.made_trades import RECORD_ROWS, SYMBOLS, closing_record, fill, trades_record
from bench.report import Result
from connectors.log import Log, open_log
from flows.bars import Bars
from flows.engines import local
from flows.engines.progress import last_progress
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.engines.snapshots import manifests
from flows.flow import Flow
from flows.indicators import Indicators, IndicatorsParams
from flows.kernels.indicators.registry import choose, chosen_names
from schemas.bars import BARS
from schemas.indicators import INDICATORS

_OUTPUTS = 40
_PATIENCE_S = 120.0


def run(quick: bool) -> list[Result]:
    """Cost, pause, restart."""
    return [
        *_cost(400_000 if quick else 2_000_000, 3 if quick else 9),
        _pause(3 if quick else 9),
        # Behind the newest snapshot lie nearly as many rows as there are between two.
        _restart(600_000 if quick else 2 * ShardOptions.snapshot_rows - 50_000),
    ]


def _cost(trades: int, rounds: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as folder:
        numbers = itertools.count()

        def opened(promised: bool) -> Log:
            return log_of(f"sqlite:///{folder}/{next(numbers)}.db", promised=promised)

        return cost(opened, trades, rounds, "recovery")


def _pause(rounds: int) -> Result:
    """How long `Shard.save_snapshot` keeps a flow from going on."""
    params = IndicatorsParams(indicators=_forty())
    with _log() as log:
        fill(log, 20 * 60 * 4 * RECORD_ROWS // 20)
        local.run_until_end(log, [Bars])
        prepare(log, Indicators)
        shard = Shard(log, Indicators, params, 0, ShardOptions(snapshot_rows=1 << 60))
        shard.open()
        while shard.step():
            pass
        shard.commit()
        times, busy = [], []
        newest = manifests(log, Indicators.name, 0)[-1:]
        for _ in range(rounds):
            begun, begun_busy = perf_counter(), thread_time()
            shard.save_snapshot()
            times.append(perf_counter() - begun)
            busy.append(thread_time() - begun_busy)
            # One after the other: the snapshot is appended behind the shard's back.
            while manifests(log, Indicators.name, 0)[-1:] == newest:
                sleep(0.01)
            newest = manifests(log, Indicators.name, 0)[-1:]
        size = newest[0].size
        shard.close()
    return Result(
        name=f"recovery: pause of a snapshot, {SYMBOLS} symbols x {_OUTPUTS} indicators",
        value=median(times) * 1_000,
        unit="ms",
        wanted="< 20",
        note=f"{size / 1e6:.1f} MB of state; longest of {rounds}: {max(times) * 1_000:.1f} ms; of the "
        f"processor's time: {median(busy) * 1_000:.1f} ms",
    )


def _forty() -> tuple[str, ...]:
    """Indicators with 40 outputs together, in the registry's order."""
    chosen: list[str] = []
    outputs = 0
    for name in chosen_names("all"):
        count = len(choose(name).kept)
        if outputs + count <= _OUTPUTS:
            chosen.append(name)
            outputs += count
    return tuple(chosen)


def _restart(trades: int) -> Result:
    """From starting the program again to the first new rows of both flows in the log."""
    with _log() as log, tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as home:
        fill(log, trades)
        environment = os.environ | {
            "TAPEFLOW_LOG": log.url,
            "TAPEFLOW_HOME": home,
            "TAPEFLOW_PARTITIONS": "1",
        }
        with _running(environment, home) as program:
            _await(lambda: _read(log, Bars) == log.end("trades", 0), program)
            _await(lambda: _read(log, Indicators) == log.end("bars", 0), program)
            program.send_signal(signal.SIGKILL)
            program.wait()
        before = {name: log.end(name, 0) for name in (BARS.name, INDICATORS.name)}
        behind = trades // RECORD_ROWS
        log.append([trades_record(behind), closing_record(behind + 8)])
        begun = perf_counter()
        with _running(environment, home) as program:
            _await(lambda: all(log.end(name, 0) > end for name, end in before.items()), program)
            taken = perf_counter() - begun
    return Result(
        name="recovery: restart after kill -9, to first new rows of bars and indicators",
        value=taken,
        unit="s",
        wanted="< 3",
        note=f"start of the process included; {trades:,} trades in the log, {SYMBOLS} symbols",
    )


@contextmanager
def _running(environment: dict[str, str], home: str) -> Iterator[subprocess.Popen[bytes]]:
    with Path(home, "program.log").open("ab") as out:
        program = subprocess.Popen(
            [str(Path(sys.executable).with_name("tapeflow")), "run", "bars", "indicators"],
            env=environment,
            stdout=out,
            stderr=out,
        )
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def _await(is_so: Callable[[], bool], program: subprocess.Popen[bytes]) -> None:
    deadline = perf_counter() + _PATIENCE_S
    while not is_so():
        if program.poll() is not None or perf_counter() > deadline:
            raise RuntimeError(f"the program took too long, or ended with {program.poll()}")
        sleep(0.002)


def _read(log: Log, kind: type[Flow]) -> int:
    if f"_progress.{kind.name}" not in log.topics():
        return -1
    last = last_progress(log, kind, 0)
    return -1 if last is None else last[1].positions[kind.inputs[0].name][0]


@contextmanager
def _log() -> Iterator[Log]:
    with (
        tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as folder,
        open_log(f"sqlite:///{folder}/log.db") as log,
    ):
        yield log
