"""What the log still keeps of what a shard has read: retention cuts its beginning, an accident its end."""

from connectors.control import progress_topic
from connectors.log import Log, LogError
from flows.engines.progress import Positions, Progress
from flows.engines.snapshots import Manifest
from flows.flow import Flow


def cut_away(log: Log, positions: Positions) -> list[str]:
    """The positions from which the log can no longer be read, in words; none where it is whole."""
    topics = log.topics()
    found = []
    for topic, places in positions.items():
        for partition, offset in places.items():
            start = log.start(topic, partition) if topic in topics else None
            if start is None or start > offset:
                has = "the topic is gone" if start is None else f"kept from {start} on"
                found.append(f"{topic}[{partition}] from {offset}: {has}")
    return found


def is_of_this_log(log: Log, kind: type[Flow], shard: int, manifest: Manifest) -> bool:
    """Whether the commit that a snapshot is of is still there.

    A log that lost its end may have given the number, and even the offset, to another commit since.
    """
    topic = progress_topic(kind.name)
    offset = manifest.progress_offset
    if not log.start(topic, shard) <= offset < log.end(topic, shard):
        return False
    records = log.read(topic, shard, offset, max_bytes=1).records
    return bool(records) and (
        records[0].offset == offset
        and records[0].append_time_ns == manifest.progress_time_ns
        and Progress.of(records[0]).number == manifest.number
    )


def check_not_lost(log: Log, name: str, positions: Positions) -> None:
    """Refuse to go on behind positions that the log does not have any more.

    New rows would be given the offsets of the lost ones, and be passed over as read.

    Raises
    ------
    LogError
        Naming them, and what to do.
    """
    topics = log.topics()
    lost = []
    for topic, places in positions.items():
        for partition, offset in places.items():
            end = log.end(topic, partition) if topic in topics else 0
            if end < offset:
                lost.append(
                    f"{topic}[{partition}]: the log ends at {end}, and {name} has read up to {offset}"
                )
    if lost:
        raise LogError(
            f"{'; '.join(lost)}. The log has lost records, as a repair of a damaged one does, or a broker "
            "that comes back without its last second. Stop every program and run `tapeflow topics "
            "repair`: it says what is lost, and takes back what was made of it, or what else to do"
        )
