"""What the log still keeps of what a shard has read: retention cuts its beginning, an accident its end."""

from connectors.control import progress_topic
from connectors.log import CorruptLogError, Log, LogError
from connectors.log_loss import is_in_log
from flows.engines.progress import Newest, Positions, Progress
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


def check_not_lost(log: Log, name: str, positions: Positions, newest: Newest) -> None:
    """Refuse to go on behind positions that the log does not have any more, or at which it has other records now.

    New rows would be given the offsets of the lost ones, and be passed over as read; or have been given them.

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
                continue
            read = newest.get(topic, {}).get(partition)
            if read is not None and _is_another(log, (topic, partition), read):
                lost.append(
                    f"{topic}[{partition}]: {name} has read up to {offset}, and at {read[0]} the log has another "
                    "record now than the one that was read"
                )
    if lost:
        raise LogError(
            f"{'; '.join(lost)}. The log has lost records, as a repair of a damaged one does, or a broker "
            "that comes back without its last second; or a topic was deleted and made anew. Stop every program and "
            "run `tapeflow topics repair`: it says what is lost, and takes back what was made of it, or what else to do"
        )


def _is_another(log: Log, place: tuple[str, int], read: tuple[int, int]) -> bool:
    """Whether the log has another record where one was read."""
    try:
        return not is_in_log(log, place, *read)
    except CorruptLogError:
        # It is damaged, which whoever reads it again is told; who has read it goes on.
        return False
