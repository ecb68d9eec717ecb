"""A log on which flows have lived: several commits, snapshots and an epoch, for tests that replay it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.log import Log, NewRecord
from connectors.receipts import TopicReceipt, receipt
from connectors.records import Partitioner, rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from flows.bars import Bars, BarsParams
from flows.engines.local import run_until_end
from flows.engines.shard import ShardOptions
from flows.flow import Flow, Params
from flows.indicators import Indicators
from flows.intake import Intake
from flows.trade_signs import TradeSigns
from schemas.market import TRADES
from schemas.nbbo import NBBO
from schemas.registry import TOPICS
from schemas.topic import Topic
from tests.conformity.workload import topic_rows
from tests.serving.proofs import trade

ROWS = 4_000
# Of one input, another, and an inbox: all three orders of inputs, and a chain.
KINDS: tuple[type[Flow], ...] = (Intake, Bars, Indicators, TradeSigns)
NAMES = sorted(kind.name for kind in KINDS)
LATER = BarsParams(intervals=("2s", "1m"))


@dataclass(frozen=True)
class Untouched:
    """What live topics hold: rows and digests, and where each partition ends."""

    receipts: list[TopicReceipt]
    ends: dict[tuple[str, int], int]

    @classmethod
    def of(cls, log: Log) -> "Untouched":
        """As a log has it now, runs left out."""
        return cls(
            receipts=receipt(log, TOPICS.values()),
            ends={
                (name, partition): log.end(name, partition)
                for name, config in log.topics().items()
                for partition in range(config.partitions)
                if not name.startswith("run.")
            },
        )


def lived(
    log: Log,
    partitions: int = 2,
    *,
    epoch: bool = True,
    kinds: Sequence[type[Flow]] = KINDS,
    commits: int = 8,
) -> None:
    """Append inputs in parts with the flows run behind each; the last ones with other bars."""
    create_topics(log, partitions)
    rng = np.random.default_rng(11)
    parts = {topic: topic_rows(topic, rng, ROWS, 30_000_000_000) for topic in (TRADES, NBBO)}
    step = ROWS // commits
    params: dict[str, Params] = {}
    for number in range(commits):
        for topic, rows in parts.items():
            _append(log, topic, rows.slice(number * step, step), partitions)
        log.append([NewRecord("trades.in", number % partitions, trade(number))])
        if epoch and number == commits - 3:
            params = {Bars.name: LATER}
        options = ShardOptions(snapshot_rows=1_000, new_epoch=bool(params))
        run_until_end(log, kinds, params, options)
    for topic, rows in parts.items():
        _close(log, topic, rows, partitions)
    run_until_end(log, kinds, params)


def _append(log: Log, topic: Topic, rows: pa.RecordBatch, partitions: int) -> None:
    split = Partitioner(partitions).split(rows.column(topic.key), rows)
    log.append([rows_record(topic, partition, part) for partition, part in split])


def _close(log: Log, topic: Topic, rows: pa.RecordBatch, partitions: int) -> None:
    """Let the time of every key pass."""
    keys = Partitioner(partitions)
    last = max(rows.column(topic.event_time).cast(pa.int64()).to_pylist()) + 10**12
    for key in sorted(set(rows.column(topic.key).to_pylist())):
        batch = watermarks_batch([key], np.array([last]))
        log.append([watermarks_record(topic.name, keys.of(key), batch)])
