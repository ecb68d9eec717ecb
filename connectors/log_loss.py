"""What a log has lost: positions that somebody stored beyond a partition's end, and the last moment before it.

A log loses its tail when a disk, or a broker, had acknowledged more than it kept, when an older copy of its
file is put back, or when a repair cuts a damaged partition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.clock import CLOCK_TOPIC
from connectors.control import FEEDS_TOPIC, LANDINGS_TOPIC, control_value, progress_topic
from connectors.landings import landed_positions
from connectors.log import Log, Record
from connectors.records import Partitioner
from connectors.scan import scan_records
from schemas.registry import market_topics

Place = tuple[str, int]
# Offset and append time of the newest record that was read.
Newest = tuple[int, int]

_PROGRESS = progress_topic("")


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """A position beyond a partition's end.

    Parameters
    ----------
    who : str
        Who stored it.
    topic, partition : str, int
        Of what.
    position, end : int
        Where it stands, and where the partition ends.
    """

    who: str
    topic: str
    partition: int
    position: int
    end: int

    def __str__(self) -> str:
        lost = self.position - self.end
        return (
            f"{self.who} stands at offset {self.position} of {self.topic}[{self.partition}], which ends at "
            f"{self.end}: "
            + (
                f"{lost} offsets are gone"
                if lost > 0
                else "others have taken the offsets of lost records"
            )
        )


def stored_beyond(log: Log) -> list[Beyond]:
    """Positions of flows, of the clock and of the lander that the log does not reach any more.

    Of flows those, too, behind which others have taken the offsets of what was read.
    """
    ends: dict[Place, int] = {}
    topics = log.topics()
    found = []
    for who, (topic, partition), position, newest in _stored(log):
        config = topics.get(topic)
        if config is None or partition >= config.partitions:
            continue
        if (topic, partition) not in ends:
            ends[topic, partition] = log.end(topic, partition)
        if position > ends[topic, partition] or not (
            newest is None or is_in_log(log, (topic, partition), *newest)
        ):
            found.append(
                Beyond(
                    who=who,
                    topic=topic,
                    partition=partition,
                    position=position,
                    end=ends[topic, partition],
                )
            )
    return found


def is_in_log(log: Log, place: Place, offset: int, append_time_ns: int) -> bool:
    """Whether the record at an offset is the one that was appended then; true where it is cut away.

    It is another where a log lost its end and went on, and where a topic was deleted and made anew.
    """
    if offset < log.start(*place):
        return True
    if offset >= log.end(*place):
        return False
    records = log.read(*place, offset, max_bytes=1).records
    return bool(records) and (
        (records[0].offset, records[0].append_time_ns) == (offset, append_time_ns)
    )


def whole_before_ns(
    log: Log, holes: Mapping[Place, int], writers: Mapping[str, Sequence[str]]
) -> int | None:
    """Append time from which on the log may not be whole; None where what is left fits together.

    What a program commits in several partitions at once must go as a whole, and so must what was made of
    lost rows. Which commit a lost record was of is not known: it is taken for the earliest that it can be.

    Parameters
    ----------
    log : Log
        Whose append times follow the order of its commits in all partitions.
    holes : mapping of (topic, partition) to int
        The first offset that is gone.
    writers : mapping of str to sequence of str
        Topic to the flows that write it.
    """
    times: list[int] = []
    for (topic, partition), end in holes.items():
        last = log.last(topic, partition)
        since_ns = 0 if last is None else last.append_time_ns
        times += _first_committed(log, topic, partition, since_ns, writers)
        times += _first_used(log, topic, partition, end)
    return min(times, default=None)


def _stored(log: Log) -> Iterator[tuple[str, Place, int, Newest | None]]:
    """Who stands where in what; of flows also the newest record that was read, where it is told."""
    for name, config in log.topics().items():
        if name.startswith(_PROGRESS):
            yield from _of_flow(log, name, config.partitions)
        elif name == CLOCK_TOPIC:
            record = log.last(name, 0)
            if record is not None:
                for topic, partition, position in control_value(record)["positions"]:
                    yield "the clock", (topic, partition), position, None
        elif name == LANDINGS_TOPIC:
            yield from _of_lander(log)


def _of_flow(log: Log, name: str, shards: int) -> Iterator[tuple[str, Place, int, Newest | None]]:
    for shard in range(shards):
        record = log.last(name, shard)
        if record is not None:
            who = f"flow {name.removeprefix(_PROGRESS)}/{shard}"
            told = control_value(record).get("newest", {})
            for (topic, partition), position in _positions(record):
                newest = told.get(topic, {}).get(str(partition))
                yield who, (topic, partition), position, newest and (newest[0], newest[1])


def _of_lander(log: Log) -> Iterator[tuple[str, Place, int, None]]:
    for sink, topics in landed_positions(log).items():
        for topic, places in topics.items():
            for partition, position in places.items():
                yield f"the lander ({sink})", (topic, partition), position, None


def _positions(progress: Record) -> Iterator[tuple[Place, int]]:
    for topic, places in control_value(progress)["positions"].items():
        for partition, position in places.items():
            yield (topic, int(partition)), position


def _first_committed(
    log: Log, topic: str, partition: int, since_ns: int, writers: Mapping[str, Sequence[str]]
) -> list[int]:
    """When the first commits were made that may have had a record behind a partition's last one."""
    topics = log.topics()
    times = []
    if topic.startswith(_PROGRESS):
        flow = topic.removeprefix(_PROGRESS)
        made = [name for name, flows in writers.items() if flow in flows and name in topics]
        times += _first_since(log, made, since_ns + 1)
    elif topic == FEEDS_TOPIC:
        times += _first_since(log, [one.name for one in market_topics()], since_ns + 1)
    for flow in writers.get(topic, ()):
        if progress_topic(flow) in topics:
            times += _first_since(log, [progress_topic(flow)], since_ns)
    if FEEDS_TOPIC in topics and topic in {one.name for one in market_topics()}:
        owner = Partitioner(topics[topic].partitions)
        for record in scan_records(log, FEEDS_TOPIC, 0):
            if record.append_time_ns >= since_ns and _feeds(record, topic, partition, owner):
                times.append(record.append_time_ns)
                break
    return times


def _feeds(record: Record, topic: str, partition: int, owner: Partitioner) -> bool:
    """Whether a feed's commit had rows, or watermark rows, of a partition."""
    value = control_value(record)
    keys = [*value["last"].get(topic, ()), *value["watermarks"]]
    return any(owner.of(key) == partition for key in keys)


def _first_since(log: Log, names: Sequence[str], since_ns: int) -> list[int]:
    """Append time of the first record of each topic's partitions from a moment on."""
    times = []
    for name in names:
        for partition in range(log.topics()[name].partitions):
            at = log.offset_at(name, partition, since_ns)
            if at < log.end(name, partition):
                (record, *_) = log.read(name, partition, at, max_bytes=1).records
                times.append(record.append_time_ns)
    return times


def _first_used(log: Log, topic: str, partition: int, end: int) -> list[int]:
    """When each shard first committed what it had made of lost records."""
    times = []
    for name, config in log.topics().items():
        if not name.startswith(_PROGRESS):
            continue
        for shard in range(config.partitions):
            for record in scan_records(log, name, shard):
                if dict(_positions(record)).get((topic, partition), 0) > end:
                    times.append(record.append_time_ns)
                    break
    return times
