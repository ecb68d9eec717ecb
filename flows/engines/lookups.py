"""Asks others for what a flow must know before it takes rows in, and puts the answer into the log first.

A flow does no input or output, and a replay must see what the live run saw: so the answer is a record of a
broadcast input, read before the rows that need it, in an order that the progress record keeps.
"""

from collections.abc import Callable, Sequence

import pyarrow as pa

from connectors.log import Log
from connectors.records import Partitioner, rows_record
from flows.engines.segments import Segment
from flows.engines.stepper import Stepper
from flows.flow import Flow

LookUp = Callable[[Sequence[str]], pa.RecordBatch]
"""Keys to rows of `Flow.looks_up`, one a key at least; it says what it does not find."""


class Lookups:
    """What one shard asks for.

    Parameters
    ----------
    log : Log
        Where answers are appended.
    kind : type of Flow
        The flow.
    look_up : callable or None
        Who is asked; None where nobody is.
    """

    def __init__(self, log: Log, kind: type[Flow], look_up: LookUp | None) -> None:
        self._log = log
        self.topic = kind.looks_up
        self._look_up = look_up
        self.sources = [
            at for at, declared in enumerate(kind.inputs) if declared.topic is self.topic
        ]

    def missing(self, stepper: Stepper, segment: Segment) -> list[str]:
        """Keys that the flow must be told of before it takes a segment in."""
        if self.topic is None or self._look_up is None or segment.rows is None:
            return []
        return [] if segment.input in self.sources else stepper.missing(segment)

    def ask(self, keys: Sequence[str]) -> None:
        """Append what is known of the keys."""
        if self.topic is None or self._look_up is None:
            return
        batch = self._look_up(keys)
        partitioner = Partitioner(self._log.topics()[self.topic.name].partitions)
        self._log.append(
            [
                rows_record(self.topic, partition, part)
                for partition, part in partitioner.split(batch.column(self.topic.key), batch)
            ]
        )
