"""A shard's progress: how far it has read, in which epoch, and what became of the rows.

Every commit appends one progress record. Most hold what a restart needs and no more; one in
`CHECKPOINT_RECORDS`, the one before a snapshot, and the one that begins an epoch are *checkpoints*: they
carry the table of all epochs too, and the others say at which offset the newest checkpoint lies. So a
start and an audit read two records, however long the flow has run, and a progress topic may be trimmed
below the checkpoint of the oldest snapshot that is kept (`Manifest.checkpoint_offset`) without the loss of
anything but the order of reads (ARRIVAL) before it, which the lake keeps.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from connectors.control import control_value, progress_topic
from connectors.log import Log, Record
from flows.engines.parameters import canonical_json
from flows.engines.stepper import Counts
from flows.flow import Flow, FlowError, Params

T = TypeVar("T")

Positions = dict[str, dict[int, int]]
# Log topic, partition, offset and append time of the newest record that was read of it.
Newest = dict[str, dict[int, tuple[int, int]]]
# Log topic, partition, next offset. The topic's name, not its place in `inputs`: a place shifts where a
# topic with an inbox is declared later.
Run = tuple[str, int, int]

# With a table of a few kilobytes a checkpoint adds a few bytes to each record, and no more than so many
# records are ever between one and the end.
CHECKPOINT_RECORDS = 1_000


@dataclass(frozen=True, kw_only=True)
class EpochEntry:
    """An epoch as the table in a checkpoint has it.

    Parameters
    ----------
    number, version : int
        Of the epoch, and of the flow in it.
    params : dict
        The flow's parameters in it.
    first : int
        Number of its first commit.
    offset : int or None
        Offset of its first progress record; None in that record itself.
    begin : dict of topic to dict of partition to offset
        Input positions where it began.
    counts : dict of topic to Counts
        Rows by what became of them before it began.
    end, last : dict or None, int or None
        Input positions at its last commit, and that one's number; None while it lasts.
    carried : bool
        Whether it began with the state of the epoch before.
    base : int or None
        Where it is of another version than the epoch before: the commit whose snapshot this version went on from,
        computing all behind it again; 0 where that was the beginning.
    layout : int or None
        Layout of the flow's snapshots in it (`flows.flow.Carried`); None where it declared none.
    """

    number: int
    version: int
    params: dict[str, Any]
    first: int
    offset: int | None
    begin: Positions
    counts: dict[str, Counts]
    end: Positions | None = None
    last: int | None = None
    carried: bool = False
    base: int | None = None
    layout: int | None = None

    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {
            "begin": _texts(self.begin),
            "end": None if self.end is None else _texts(self.end),
        }

    @classmethod
    def of(cls, value: dict[str, Any]) -> "EpochEntry":
        """The entry that a JSON value holds."""
        end = value["end"]
        return cls(
            **value
            | {
                "begin": _numbers(value["begin"]),
                "end": None if end is None else _numbers(end),
                "counts": _counts(value["counts"]),
            }
        )


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
    params_hash : str
        SHA-256 of the parameters' canonical JSON, hexadecimal.
    positions : dict of topic to dict of partition to offset
        Where to read on.
    params : dict or None
        The parameters, in the record that begins the epoch only.
    counts : dict of topic to Counts
        Rows by what became of them, cumulative over all epochs.
    runs : list of (log topic, partition, next offset)
        In ARRIVAL order: what was read since the record before, in the order in which it was read.
    paused : list of str
        Inputs that are not read on, since too many of their rows are held (EVENT order).
    checkpoint : int or None
        Offset of the newest checkpoint; None in a checkpoint itself.
    epochs : list of EpochEntry or None
        In a checkpoint, every epoch so far, the present one included.
    state_since : int or None
        Of a flow whose state is carried over epochs, the epoch in which it began; None of others.
    newest : dict of topic to dict of partition to (offset, append time)
        The newest record that was read of each partition, by which a start knows its topic again; times are ns since
        1970 UTC. Records from before there was this field have none.
    """

    flow: str
    version: int
    shard: int
    number: int
    epoch: int
    params_hash: str
    positions: Positions
    params: dict[str, Any] | None = None
    counts: dict[str, Counts] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    checkpoint: int | None = None
    epochs: list[EpochEntry] | None = None
    state_since: int | None = None
    newest: Newest = field(default_factory=dict)

    def value(self) -> dict[str, Any]:
        """As the JSON value of a control record."""
        table = None if self.epochs is None else [entry.value() for entry in self.epochs]
        return self.__dict__ | {
            "positions": _texts(self.positions),
            "counts": {topic: counts.__dict__ for topic, counts in self.counts.items()},
            "epochs": table,
            "newest": _texts(self.newest),
        }

    @classmethod
    def of(cls, record: Record) -> "Progress":
        """The progress that a control record holds."""
        value = control_value(record)
        table = value["epochs"]
        value["positions"] = _numbers(value["positions"])
        value["counts"] = _counts(value["counts"])
        value["runs"] = [(run[0], run[1], run[2]) for run in value["runs"]]
        value["epochs"] = None if table is None else [EpochEntry.of(entry) for entry in table]
        value["newest"] = {
            topic: {
                int(partition): (offset, time_ns) for partition, (offset, time_ns) in of.items()
            }
            for topic, of in value.get("newest", {}).items()
        }
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


def read_progress(
    log: Log, flow: type[Flow], shard: int, offset: int
) -> Iterator[tuple[int, Progress]]:
    """Offsets and contents of a shard's progress records from ``offset`` on, in order."""
    topic = progress_topic(flow.name)
    end = log.end(topic, shard)
    while offset < end:
        chunk = log.read(topic, shard, offset)
        for record in chunk.records:
            yield record.offset, Progress.of(record)
        offset = chunk.next_offset


def epoch_table(
    log: Log, flow: type[Flow], shard: int, last: tuple[int, Progress]
) -> tuple[int, list[EpochEntry]]:
    """Offset of the newest checkpoint, and its table of epochs with every first offset filled in.

    Raises
    ------
    FlowError
        Where the checkpoint is cut away: retention must keep it.
    """
    offset, progress = last
    if progress.checkpoint is not None:
        topic = progress_topic(flow.name)
        if progress.checkpoint < log.start(topic, shard):
            raise FlowError(
                f"{topic}[{shard}]: the checkpoint at offset {progress.checkpoint}, which the last "
                "progress record needs, is cut away: progress may be trimmed no further than the "
                "oldest kept snapshot's checkpoint. Run the verb on the lake, which has it "
                "(log = lake:///path)"
            )
        offset, progress = next(read_progress(log, flow, shard, progress.checkpoint))
    return offset, [
        replace(entry, offset=offset) if entry.offset is None else entry
        for entry in progress.epochs or []
    ]


def _texts(positions: Mapping[str, Mapping[int, T]]) -> dict[str, dict[str, T]]:
    return {
        topic: {str(partition): offsets[partition] for partition in sorted(offsets)}
        for topic, offsets in positions.items()
    }


def _numbers(positions: dict[str, dict[str, int]]) -> Positions:
    return {
        topic: {int(partition): offset for partition, offset in offsets.items()}
        for topic, offsets in positions.items()
    }


def _counts(value: dict[str, dict[str, int]]) -> dict[str, Counts]:
    return {topic: Counts(**counts) for topic, counts in value.items()}
