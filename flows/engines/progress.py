"""A shard's progress: how far it has read, in which epoch, and what became of the rows."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from connectors.control import control_value, progress_topic
from connectors.log import Log, Record
from flows.engines.parameters import canonical_json
from flows.engines.stepper import Counts
from flows.flow import Flow, Params

Positions = dict[str, dict[int, int]]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One progress record.

    Parameters
    ----------
    flow, version, shard : str, int, int
        Whose it is.
    number : int
        Commit number, from 1.
    epoch : int
        Epoch number, from 1; a change of version or parameters begins a new one.
    epoch_offset : int or None
        Offset of the record that began the epoch; None in that record itself.
    params_hash : str
        SHA-256 of the parameters' canonical JSON, hexadecimal.
    params : dict or None
        The parameters, in the record that begins the epoch only.
    positions : dict of topic to dict of partition to offset
        Where to read on.
    counts : dict of topic to Counts
        Rows by what became of them, cumulative over all epochs.
    runs : list of (log topic, partition, next offset)
        In ARRIVAL order: what was read since the record before, in the order in which it was read.
    """

    flow: str
    version: int
    shard: int
    number: int
    epoch: int
    epoch_offset: int | None
    params_hash: str
    positions: Positions
    params: dict[str, Any] | None = None
    counts: dict[str, Counts] = field(default_factory=dict)
    runs: list[tuple[str, int, int]] = field(default_factory=list)

    def value(self) -> dict[str, Any]:
        """As the JSON value of a control record."""
        return {
            "flow": self.flow,
            "version": self.version,
            "shard": self.shard,
            "number": self.number,
            "epoch": self.epoch,
            "epoch_offset": self.epoch_offset,
            "params_hash": self.params_hash,
            "params": self.params,
            "positions": {
                topic: {str(partition): offset for partition, offset in sorted(offsets.items())}
                for topic, offsets in self.positions.items()
            },
            "counts": {topic: counts.__dict__ for topic, counts in self.counts.items()},
            "runs": self.runs,
        }

    @classmethod
    def of(cls, record: Record) -> "Progress":
        """The progress that a control record holds."""
        value = control_value(record)
        value["positions"] = {
            topic: {int(partition): offset for partition, offset in offsets.items()}
            for topic, offsets in value["positions"].items()
        }
        value["counts"] = {topic: Counts(**counts) for topic, counts in value["counts"].items()}
        value["runs"] = [(run[0], run[1], run[2]) for run in value["runs"]]
        return cls(**value)


def params_hash(params: Params) -> str:
    """SHA-256 of the parameters' canonical JSON, hexadecimal."""
    return hashlib.sha256(canonical_json(params)).hexdigest()


def shard_count(log: Log, flow: type[Flow]) -> int:
    """How many shards a flow has on a log; 0 where it has never run."""
    config = log.topics().get(progress_topic(flow.name))
    return 0 if config is None else config.partitions


def last_progress(log: Log, flow: type[Flow], shard: int) -> tuple[int, Progress] | None:
    """Offset and content of a shard's newest progress record, or None before the first."""
    record = log.last(progress_topic(flow.name), shard)
    return None if record is None else (record.offset, Progress.of(record))


def progress_from(
    log: Log, flow: type[Flow], shard: int, offset: int
) -> list[tuple[int, Progress]]:
    """Offsets and contents of a shard's progress records from ``offset`` on, in order."""
    topic = progress_topic(flow.name)
    end = log.end(topic, shard)
    found: list[tuple[int, Progress]] = []
    while offset < end:
        chunk = log.read(topic, shard, offset)
        found += [(record.offset, Progress.of(record)) for record in chunk.records]
        offset = chunk.next_offset
    return found
