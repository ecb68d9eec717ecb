"""What exactly once costs: the same run with fenced commits, progress and snapshots, and with plain appends alone."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import TypeAlias

from bench.made_trades import SYMBOLS, fill
from bench.report import Result
from connectors.kafka import KafkaLog
from connectors.log import Log, NewRecord, Writer, open_log
from connectors.sqlite_log import SqliteLog
from flows.bars import Bars
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.indicators import Indicators

# The log of a run: with the promise, or without.
Opened: TypeAlias = Callable[[bool], AbstractContextManager[Log]]


def cost(opened: Opened, trades: int, rounds: int, name: str) -> list[Result]:
    """Elapsed and processor time of bars and indicators over trades that a seed makes.

    Parameters
    ----------
    opened : callable
        A new and empty log, of `log_of`.
    trades : int
        How many.
    rounds : int
        How often each run is measured.
    name : str
        What the results' names begin with.
    """
    taken: dict[bool, list[_Times]] = {True: [], False: []}
    for at in range(rounds + 1):
        # In turn, so that what else the machine does falls on both; the first round warms up.
        for promised, times in taken.items():
            with opened(promised) as log:
                fill(log, trades)
                once = _work(log, Shard if promised else _PlainShard)
                if at:
                    times.append(once)
    asked = "cost of exactly once"
    of: dict[str, Callable[[_Times], float]] = {
        f"{name}: {asked}, elapsed time, first row to last commit": lambda one: one.elapsed_s,
        f"{name}: {asked}, processor time, first row to last commit": lambda one: one.processor_s,
        f"{name}: {asked}, opening and closing": lambda one: one.ends_s,
    }
    return [
        Result(
            name=what,
            value=median(measured(one) for one in taken[True]),
            unit="s",
            wanted="" if what.endswith("closing") else "ratio <= 1.2",
            baseline=median(measured(one) for one in taken[False]),
            baseline_name="plain appends, no progress",
            note=f"bars and indicators of {trades:,} trades, {SYMBOLS} symbols",
        )
        for what, measured in of.items()
    ]


def log_of(url: str, *, promised: bool) -> Log:
    """A log; without the promise its writers append, and do no more: no fence, no number, no progress, no snapshots."""
    if promised:
        return open_log(url)
    return _PlainKafka(url) if url.startswith("kafka:") else _PlainSqlite(url)


@dataclass
class _Times:
    """Of a run: from its first row to its last commit, and what opening and closing take beside that."""

    elapsed_s: float = 0.0
    processor_s: float = 0.0
    ends_s: float = 0.0


def _work(log: Log, shard_kind: type[Shard]) -> _Times:
    """As `flows.engines.local` runs flows, with shards of a kind."""
    times = _Times()
    for flow in (Bars, Indicators):
        prepare(log, flow)
        shard = shard_kind(log, flow, flow.params_type(), 0, ShardOptions())
        begun = perf_counter()
        shard.open()
        opened, busy = perf_counter(), process_time()
        while shard.step():
            pass
        shard.commit()
        done = perf_counter()
        times.elapsed_s += done - opened
        times.processor_s += process_time() - busy
        shard.close()
        times.ends_s += opened - begun + perf_counter() - done
    return times


class _Plain(Log):
    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append what is no control record."""
        super().append([one for one in records if not one.topic.startswith("_")])
        return [0] * len(records)

    def writer(self, name: str) -> Writer:
        """A writer that is none."""
        return _PlainWriter(self, name)


class _PlainSqlite(_Plain, SqliteLog):
    pass


class _PlainKafka(_Plain, KafkaLog):
    pass


class _PlainShard(Shard):
    """A shard that keeps no snapshots."""

    def save_snapshot(self) -> None:
        """Keep none."""


class _PlainWriter(Writer):
    def __init__(self, log: Log, name: str) -> None:
        self.name = name
        self._log = log

    @property
    def number(self) -> int:
        """None is kept."""
        return 0

    def commit(self, records: Sequence[NewRecord], number: int) -> list[int]:
        """Append."""
        del number
        return self._log.append(records)

    def close(self) -> None:
        """Nothing is held."""
