"""What a shard will append at its next commit: rows and watermark rows, by topic and partition."""

from collections.abc import Mapping
from typing import Self

import pyarrow as pa

from connectors.log import Headers, NewRecord, TopicConfig
from connectors.records import (
    Partitioner,
    record_pieces,
    rows_record,
    watermarks_batch,
    watermarks_record,
)
from flows.engines.segments import join_batches
from flows.engines.stepper import Output
from flows.flow import Emit, Flow
from schemas.faults import LATE
from schemas.topic import Topic


class Outbox:
    """Collects outputs in order and turns them into log records.

    Parameters
    ----------
    partitions : dict of str to int
        Partition count of each output topic.
    home : dict of str to int
        For topics keyed as the flow's input and with as many partitions: the partition that all of this
        shard's rows belong to, so that no key needs hashing.
    """

    def __init__(self, partitions: dict[str, int], home: dict[str, int]) -> None:
        self._partitioners = {name: Partitioner(count) for name, count in partitions.items()}
        self._home = home
        self._outputs: list[Output] = []
        self.rows = 0

    @classmethod
    def of_shard(cls, topics: Mapping[str, TopicConfig], kind: type[Flow], index: int) -> Self:
        """The outbox of one shard of a flow; ``topics`` as the log has them."""
        outputs = {topic.name: topic for topic in (*kind.outputs, LATE)}
        counts = {name: topics[name].partitions for name in outputs}
        first = kind.inputs[0]
        home = {}
        if not first.inbox and not first.broadcast:
            same = topics[first.name].partitions
            home = {
                name: index
                for name, topic in outputs.items()
                if topic.key == first.topic.key and counts[name] == same
            }
        return cls(counts, home)

    def __bool__(self) -> bool:
        return bool(self._outputs)

    def put(self, outputs: list[Output]) -> None:
        """Add outputs behind those that are there."""
        self._outputs += outputs
        self.rows += sum(one.batch.num_rows for one in outputs if isinstance(one, Emit))

    def records(self, headers: Headers) -> list[NewRecord]:
        """All collected outputs as records, and empty the box.

        Rows of a topic that follow one another are joined; a topic's watermark rows stay behind the rows
        that caused them.
        """
        waiting: dict[str, tuple[Topic, list[pa.RecordBatch]]] = {}
        records: list[NewRecord] = []
        for one in self._outputs:
            if isinstance(one, Emit):
                waiting.setdefault(one.topic.name, (one.topic, []))[1].append(one.batch)
                continue
            if one.topic.name in waiting:
                records += self._rows(*waiting.pop(one.topic.name), headers)
            by_partition: dict[int, list[int]] = {}
            for at, key in enumerate(one.keys):
                by_partition.setdefault(self._partition(one.topic, key), []).append(at)
            for partition, places in sorted(by_partition.items()):
                batch = watermarks_batch([one.keys[at] for at in places], one.times[places])
                records.append(watermarks_record(one.topic.name, partition, batch, headers=headers))
        for topic, batches in waiting.values():
            records += self._rows(topic, batches, headers)
        self._outputs = []
        self.rows = 0
        return records

    def _partition(self, topic: Topic, key: str) -> int:
        home = self._home.get(topic.name)
        return self._partitioners[topic.name].of(key) if home is None else home

    def _rows(
        self, topic: Topic, batches: list[pa.RecordBatch], headers: Headers
    ) -> list[NewRecord]:
        batch = join_batches(batches)
        home = self._home.get(topic.name)
        if home is None:
            parts = list(self._partitioners[topic.name].split(batch.column(topic.key), batch))
        else:
            parts = [(home, batch)]
        return [
            rows_record(topic, partition, piece, headers=headers)
            for partition, part in parts
            for piece in record_pieces(part)
        ]
