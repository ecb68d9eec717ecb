"""What every engine must do with every flow: the same rows in the log, and the same after a restart."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest

from connectors.log import Log, TopicConfig, open_log
from connectors.topics import create_topics
from flows.engines import bytewax, local
from flows.engines.recompute import recompute
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Flow, Order
from schemas.faults import LATE
from schemas.topic import Topic
from tests.conformity.outputs import by_topic, logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.conformity.workload import interleaved, pieces, records

PARTITIONS = 4
# Small enough that a run commits, and takes snapshots, many times. What is read without giving anything is
# committed at once too: a shard that is dropped after three steps would else never come past it.
BUSY = ShardOptions(read_bytes=20_000, snapshot_rows=700, commit_rows=50, idle_commit_s=0.0)

Engine = Callable[[Log, type[Flow]], None]


def _local(log: Log, kind: type[Flow]) -> None:
    local.run_until_end(log, [kind], options=BUSY)


def _bytewax(workers: int) -> Engine:
    def run(log: Log, kind: type[Flow]) -> None:
        bytewax.run_kinds(log, [kind], workers=workers, until_end=True, options=BUSY)

    return run


ENGINES = {"local": _local} | {f"bytewax-{count}": _bytewax(count) for count in (1, 2, 4)}


def filled(path: Path, kind: type[Flow], seed: int = 11, rows: int = 4_000) -> Log:
    log = open_log(f"sqlite:///{path}")
    create_topics(log, PARTITIONS)
    log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=PARTITIONS))
    log.append(records(kind, pieces(kind, seed, rows), PARTITIONS))
    return log


def outputs(kind: type[Flow]) -> list[Topic]:
    return [*kind.outputs, LATE]


def tables(log: Log, kind: type[Flow]) -> dict[str, pa.Table]:
    return {topic.name: rows_in_any_order(logged(log, topic)) for topic in outputs(kind)}


def rows_in_any_order(table: pa.Table) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in table.column_names]).combine_chunks()


@cache
def _elsewhere(kind: type[Flow]) -> dict[str, pa.Table]:
    """What a flow gives on a log of its own, made once: every engine is to give that."""
    with TemporaryDirectory() as folder, filled(Path(folder) / "log.db", kind) as log:
        _local(log, kind)
        return tables(log, kind)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_what_the_stepper_gives(
    tmp_path: Path, kind: type[Flow], engine: str
) -> None:
    with filled(tmp_path / "log.db", kind) as log:
        ENGINES[engine](log, kind)
        found = tables(log, kind)
        again = by_topic(
            out
            for shard in range(PARTITIONS)
            for _, given in recompute(log, kind, shard)
            for out in given
        )
        assert sum(table.num_rows for table in found.values())
        for name, table in found.items():
            if name in again:
                assert table.equals(rows_in_any_order(again[name])), name
            else:
                assert not table.num_rows, name
        if kind.order is not Order.ARRIVAL:
            assert found == _elsewhere(kind)


def test_a_shard_stopped_at_any_commit_goes_on_without_losing_or_doubling(
    tmp_path: Path, kind: type[Flow]
) -> None:
    """A process that dies between two commits leaves what this leaves: a shard that was dropped."""
    with filled(tmp_path / "log.db", kind) as log:
        for shard in range(prepare(log, kind)):
            while True:
                one = Shard(log, kind, kind.params_type(), shard, BUSY)
                one.open()
                before = one.positions()
                for _ in range(3):
                    one.step()
                if one.positions() == before:
                    one.close()
                    break
        again = by_topic(
            out
            for shard in range(PARTITIONS)
            for _, given in recompute(log, kind, shard)
            for out in given
        )
        found = tables(log, kind)
        for name, table in again.items():
            assert found[name].equals(rows_in_any_order(table)), name


def test_event_order_hangs_on_the_log_not_on_the_interleaving(
    tmp_path: Path, event_kind: type[Flow]
) -> None:
    kind = event_kind
    made = pieces(kind, 12, 3_000)
    streams = [[piece for piece in made if piece.input == at] for at in range(len(kind.inputs))]
    found = []
    for seed in range(3):
        with open_log(f"sqlite:///{tmp_path / f'{seed}.db'}") as log:
            create_topics(log, PARTITIONS)
            log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=PARTITIONS))
            for piece in interleaved(streams, np.random.default_rng(seed)):
                log.append(records(kind, [piece], PARTITIONS))
                if seed:
                    _local(log, kind)
            _local(log, kind)
            found.append(tables(log, kind))
    assert found[0] == found[1] == found[2]
