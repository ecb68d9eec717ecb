"""Retention: a topic's log is cut by age or size, below what everybody has who still needs it.

What is cut has landed in ClickHouse and in the lake, whole, and the lake can be replayed as the log could
(`connectors.lake_log`). Of control topics, progress is cut by age: a flow that never rests writes a
gigabyte of it a day, and needs its newest records only.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from connectors.control import progress_topic
from connectors.log import CorruptLogError, Log
from connectors.log_holds import Hold, Place, holds
from connectors.log_sizes import estimate, offset_of_size
from connectors.scan import passed_over

_UNITS_NS = {
    "ns": 1,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_UNITS_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
# What the settings call the progress of flows, of all of them.
PROGRESS = "progress"
_PROGRESS = progress_topic("")
# As long as ticks, whose use by a flow it tells.
_PROGRESS_AGE_NS = 7 * 86_400_000_000_000
FOR_EVER = "forever"
_PART = re.compile(r"(\d+)\s*([a-zA-Z]+)")


class RetentionError(ValueError):
    """A retention that cannot be read; the message says how one looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of a topic's log is wanted.

    Parameters
    ----------
    age_ns : int or None
        Records older than this may go.
    size_bytes : int or None
        So many bytes of all partitions together are kept, the newest.
    """

    age_ns: int | None = None
    size_bytes: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.age_ns is not None:
            unit, each = max(
                (one for one in _UNITS_NS.items() if self.age_ns % one[1] == 0),
                key=lambda one: one[1],
            )
            parts.append(f"{self.age_ns // each}{unit}")
        if self.size_bytes is not None:
            name, size = max(
                (one for one in _UNITS_BYTES.items() if self.size_bytes % one[1] == 0),
                key=lambda one: one[1],
            )
            parts.append(f"{self.size_bytes // size}{name}")
        return " ".join(parts) or FOR_EVER

    @classmethod
    def of(cls, text: str) -> "Retention":
        """The retention that a setting says.

        Parameters
        ----------
        text : str
            An age (``12h``, ``30d``, ``4w``), a size (``500MB``, ``50GB``), or both with a blank between;
            or ``forever``.

        Raises
        ------
        RetentionError
            For anything else.

        Examples
        --------
        >>> Retention.of("2h 5GB")
        Retention(age_ns=7200000000000, size_bytes=5000000000)
        """
        if text.strip() == FOR_EVER:
            return cls()
        age_ns = size_bytes = None
        for part in text.replace(",", " ").split():
            found = _PART.fullmatch(part)
            number, unit = (0, "") if found is None else (int(found[1]), found[2])
            if number and unit in _UNITS_NS and age_ns is None:
                age_ns = number * _UNITS_NS[unit]
            elif number and unit.upper() in _UNITS_BYTES and size_bytes is None:
                size_bytes = number * _UNITS_BYTES[unit.upper()]
            else:
                raise RetentionError(
                    f"retention {text!r}: an age (30d; units {', '.join(_UNITS_NS)}), a size (50GB; units "
                    f"{', '.join(_UNITS_BYTES)}), both, or {FOR_EVER} were needed; {part!r} is neither, or the second of its kind"
                )
        if age_ns is None and size_bytes is None:
            raise RetentionError(
                "retention is empty: an age such as 30d or a size such as 50GB was needed"
            )
        return cls(age_ns=age_ns, size_bytes=size_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What retention asks of one partition, and what it may have.

    Parameters
    ----------
    topic, partition : str, int
        Which.
    policy : str
        The topic's retention, as a setting says it.
    start, end : int
        What the log holds.
    wanted : int
        Retention alone would cut below this offset; never the newest record.
    before : int
        This may be cut: everything below it.
    held_by : str
        Who holds back the rest; empty where nobody does.
    records, rows, size_bytes : int
        What the cut takes away, nearly.
    """

    topic: str
    partition: int
    policy: str
    start: int
    end: int
    wanted: int
    before: int
    held_by: str
    records: int
    rows: int
    size_bytes: int


def policies(log: Log, settings: Mapping[str, Retention]) -> dict[str, Retention]:
    """The retention of each of a log's topics that has one: the settings', or else the topic's own.

    The settings speak of the progress of flows as `PROGRESS`.
    """
    found = {}
    progress = settings.get(PROGRESS, Retention(age_ns=_PROGRESS_AGE_NS))
    for name, config in log.topics().items():
        given = settings.get(name, progress if name.startswith(_PROGRESS) else None)
        if given is None and config.retention_ns is not None:
            given = Retention(age_ns=config.retention_ns)
        if given is not None and given != Retention():
            found[name] = given
    return found


def plan(
    log: Log,
    settings: Mapping[str, Retention],
    now_ns: int,
    *,
    without: Collection[str] = (),
    on_damage: Callable[[CorruptLogError], None] = passed_over,
) -> list[Cut]:
    """What retention asks of every partition that it speaks of, in order of topic and partition.

    Parameters
    ----------
    log : Log
        Only read.
    settings : mapping of str to Retention
        By topic.
    now_ns : int
        From when ages count, ns since 1970 UTC.
    without : collection of str
        Flows that are never to run again, and hold nothing back; see `connectors.log_holds.holds`.
    on_damage : callable
        Told of each record of a snapshot that the log cannot give, where there is anything to cut.
    """
    topics = log.topics()
    held: dict[Place, list[Hold]] | None = None
    cuts = []
    for name, retention in policies(log, settings).items():
        places = [(name, partition) for partition in range(topics[name].partitions)]
        by_size = _by_size(log, places, retention)
        for place in places:
            limit = max(_by_age(log, place, retention, now_ns), by_size.get(place, 0))
            if held is None and limit > log.start(*place):
                # For this every flow's snapshots are read: most minutes there is nothing to cut.
                held = holds(log, without, on_damage)
            cuts.append(_cut(log, place, str(retention), limit, held or {}))
    return cuts


def apply(log: Log, cuts: Sequence[Cut]) -> int:
    """Make cuts, and give their space back; how many bytes the file system got."""
    for one in cuts:
        if one.before > one.start:
            log.trim(one.topic, one.partition, one.before)
    return log.give_back() if any(one.before > one.start for one in cuts) else 0


def _by_size(log: Log, places: Sequence[Place], retention: Retention) -> dict[Place, int]:
    """Where each partition's share of the topic's size begins; nothing where all of it has room."""
    if retention.size_bytes is None:
        return {}
    samples = {place: log.stretches(*place) for place in places}
    ends = {place: log.end(*place) for place in places}
    sizes = {place: estimate(samples[place], ends[place]).size_bytes for place in places}
    total = sum(sizes.values())
    if total <= retention.size_bytes:
        return {}
    return {
        place: offset_of_size(
            samples[place], ends[place], sizes[place] * retention.size_bytes // total
        )
        for place in places
    }


def _by_age(log: Log, place: Place, retention: Retention, now_ns: int) -> int:
    if retention.age_ns is None:
        return log.start(*place)
    return log.offset_at(*place, now_ns - retention.age_ns)


def _newest(log: Log, place: Place, end: int) -> int:
    """The offset of a partition's newest record; where a marker follows it, that is not the last one."""
    try:
        newest = log.last(*place)
    except CorruptLogError:
        return end - 1
    return end if newest is None else newest.offset


def _cut(
    log: Log, place: Place, policy: str, wanted: int, held: Mapping[Place, Sequence[Hold]]
) -> Cut:
    start, end = log.start(*place), log.end(*place)
    # The newest record stays: its append time tells proofs from when on all of the partition is there.
    wanted = max(start, min(wanted, _newest(log, place, end))) if wanted > start else start
    # A topic that nothing is known of (one that does not land) is left whole.
    least = min(held.get(place, [Hold("it does not land", start)]), key=lambda one: one.before)
    before = max(start, min(wanted, least.before))
    stretches = log.stretches(*place) if before > start else ()
    whole, kept = estimate(stretches, end), estimate(stretches, end, before)
    return Cut(
        topic=place[0],
        partition=place[1],
        policy=policy,
        start=start,
        end=end,
        wanted=wanted,
        before=before,
        held_by=least.who if before < wanted else "",
        records=whole.records - kept.records,
        rows=whole.rows - kept.rows,
        size_bytes=whole.size_bytes - kept.size_bytes,
    )
