"""Verifies the chain of receipts: its links, and by counting again, what they say of the log."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from connectors.control import RECEIPTS_TOPIC
from connectors.log import Log, LogError
from connectors.receipt_chain import (
    NO_LINK,
    Ends,
    Link,
    LinkError,
    Sealed,
    parse_link,
    read_links,
    sealable,
)
from connectors.receipt_findings import Problem, Verified
from connectors.receipt_ranges import OnRecords, RangeReceipt, count_ranges
from connectors.scan import scan_records
from schemas.registry import TOPICS

Place = tuple[str, int]
Ranges = list[tuple[int, RangeReceipt]]
Claims = dict[Place, Ranges]


def verify(
    log: Log,
    keys: Collection[str],
    *,
    heads: Collection[str] = (),
    numbered_heads: Mapping[int, str] | None = None,
    older: Log | None = None,
    on_records: Callable[[int], OnRecords] | None = None,
) -> Verified:
    """Check every link's form, hash, signature and contiguity, the heads, and count every range again.

    Parameters
    ----------
    log : Log
        Only read.
    keys : collection of str
        Public keys (hexadecimal) that may have signed.
    heads : collection of str
        Hashes kept outside: each must be a link's.
    numbered_heads : mapping of int to str, optional
        Hashes kept outside, by number of link.
    older : Log or None
        Where records are that the log's retention has cut: the lake.
    on_records : callable or None
        Told how many offsets there are to pass; returns what is told as they are passed.
    """
    found = Verified()
    hashes: dict[int, str] = {}
    claims: Claims = {}
    ends: Ends = {}
    for number, link in _links(log, keys, found):
        hashes[number] = link.hash
        _take_ranges(number, link, ends, claims, found)
        ends = link.ends
    found.links = len(hashes)
    if not hashes and not found.problems:
        found.problems.append(Problem(link=0, what="the log has no receipts"))
    found.head = list(hashes.values())[-1] if hashes else NO_LINK
    _check_heads(hashes, heads, numbered_heads or {}, found)
    _recount(log, older, claims, found, on_records)
    _check_unspoken(log, ends, claims, found)
    found.unsealed = _unsealed(log, ends)
    found.problems.sort(key=lambda one: (one.link, one.topic, one.partition or 0, one.start or 0))
    return found


def _links(log: Log, keys: Collection[str], found: Verified) -> Iterator[tuple[int, Link]]:
    """The links as far as they hold together: what follows a broken one proves nothing."""
    previous = NO_LINK
    for number, (offset, value) in enumerate(_values(log, found), start=1):
        try:
            link = parse_link(value)
        except LinkError as error:
            what = f"{error} ({RECEIPTS_TOPIC}[0] at offset {offset})"
            found.problems.append(Problem(link=number, what=what))
            return
        for holds, what in (
            (link.number == number, f"it says that it is link {link.number}"),
            (
                link.previous == previous,
                f"the hash of the link before is {previous}, it says {link.previous}",
            ),
            (link.key in keys, f"signed with key {link.key}, which is none of those given"),
            (link.is_signed(), "its signature is wrong: it was altered"),
        ):
            if not holds:
                found.problems.append(Problem(link=number, what=what))
                return
        previous = link.hash
        yield number, link


def _values(log: Log, found: Verified) -> Iterator[tuple[int, bytes | None]]:
    number = 1
    try:
        for offset, value in read_links(log):
            yield offset, value
            number += 1
    except LogError as error:
        found.problems.append(Problem(link=number, what=str(error)))


def _take_ranges(number: int, link: Link, ends: Ends, claims: Claims, found: Verified) -> None:
    """Check that a link's ranges follow those before, and put them down to be counted."""
    expected = {name: list(of) for name, of in ends.items()}
    for one in link.ranges:
        counted = one.receipt
        of = expected.setdefault(counted.topic, [])
        of.extend([0] * (counted.partition + 1 - len(of)))
        if one.after != of[counted.partition]:
            what = f"it follows {one.after}, the link before ends at {of[counted.partition]}"
            found.problems.append(_problem(number, counted, what))
        of[counted.partition] = counted.end
        _take_range(number, one, claims, found)
    if expected != link.ends:
        what = "the ends that it says are not those of its ranges and of the link before"
        found.problems.append(Problem(link=number, what=what))


def _take_range(number: int, one: Sealed, claims: Claims, found: Verified) -> None:
    counted = one.receipt
    known = claims.setdefault((counted.topic, counted.partition), [])
    if counted.end < one.after or counted.start < one.after:
        withdrawn = [old for old in known if old[1].end > counted.start]
        del known[len(known) - len(withdrawn) :]
        what = (
            f"the log had lost sealed records: {sum(old.rows for _, old in withdrawn)} rows sealed up to offset "
            f"{one.after} were sealed again as {counted.rows} (seal --repaired)"
        )
        found.notes.append(_problem(number, counted, what))
    elif counted.start > one.after:
        what = f"offsets {one.after} to {counted.start} were cut before they were sealed"
        found.notes.append(_problem(number, counted, what))
    if counted.end > counted.start:
        known.append((number, counted))


def _check_heads(
    hashes: Mapping[int, str],
    heads: Collection[str],
    numbered: Mapping[int, str],
    found: Verified,
) -> None:
    for head in heads:
        if head not in hashes.values():
            what = f"no link has the head {head} that was kept outside: this is not the chain it was taken of"
            found.problems.append(Problem(link=0, what=what))
    for number, head in numbered.items():
        if hashes.get(number) != head:
            what = (
                f"the head kept outside is {head}, the log's is {hashes.get(number, 'not there')}"
            )
            found.problems.append(Problem(link=number, what=what))


def _recount(
    log: Log,
    older: Log | None,
    claims: Claims,
    found: Verified,
    on_records: Callable[[int], OnRecords] | None,
) -> None:
    left = _of_known_topics(log, claims, found)
    told = None
    # Hashing and decoding are done outside of the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while left:
            # Read before it is asked what is there: by this a cut that comes later is known.
            begins = {place: log.start(*place) for place in left}
            work = [
                _Work(place=place, begin=begins[place], ranges=there)
                for place, ranges in left.items()
                if (there := [one for one in ranges if _is_there(log, older, one, found)])
            ]
            if on_records is not None and told is None:
                told = on_records(sum(one.offsets for one in work))
            counted = pool.map(partial(_check_place, log, older, told), work)
            left = {}
            for item, one in zip(work, counted, strict=True):
                found.ranges += len(one.rows)
                found.rows += sum(one.rows)
                found.problems += one.problems
                if one.cut:
                    left[item.place] = one.cut


def _of_known_topics(log: Log, claims: Claims, found: Verified) -> Claims:
    known = log.topics()
    there: Claims = {}
    for (name, partition), ranges in claims.items():
        if name in known and partition < known[name].partitions:
            there[name, partition] = ranges
        else:
            found.problems += [_problem(at, one, "the log has no such topic") for at, one in ranges]
    return there


def _check_unspoken(log: Log, ends: Ends, claims: Claims, found: Verified) -> None:
    """See that there is no record below the sealed ends that no link speaks of: it came there afterwards.

    So it may be where records had been cut before they could be sealed.
    """
    known = log.topics()
    for name, of in ends.items():
        for partition, end in enumerate(of[: known[name].partitions if name in known else 0]):
            at, stop = log.start(name, partition), min(end, log.end(name, partition))
            ranges = [(one.start, one.end) for _, one in claims.get((name, partition), ())]
            for start, reached in [*ranges, (end, end)]:
                if _holds_records(log, name, partition, (at, min(start, stop))):
                    what = "records are there that no link speaks of: they came after the rest was sealed"
                    found.problems.append(
                        Problem(
                            link=0, topic=name, partition=partition, start=at, end=start, what=what
                        )
                    )
                at = max(at, reached)


def _holds_records(log: Log, name: str, partition: int, span: tuple[int, int]) -> bool:
    start, end = span
    if start >= end:
        return False
    try:
        return next(scan_records(log, name, partition, start=start, end=end), None) is not None
    except LogError:
        # Damaged, but there.
        return True


def _is_there(
    log: Log, older: Log | None, claim: tuple[int, RangeReceipt], found: Verified
) -> bool:
    """Whether a range can be counted: all of it is in the log, or in the log and the lake."""
    number, one = claim
    start, end = log.start(one.topic, one.partition), log.end(one.topic, one.partition)
    if one.end > end:
        what = f"the log ends at {end}: {one.end - max(end, one.start)} sealed offsets are gone"
        found.problems.append(_problem(number, one, what))
        return False
    if one.start >= start:
        return True
    if older is not None and _covers(older, one, min(start, one.end)):
        return True
    found.uncounted += 1
    where = "" if older is None else ", and the lake does not have all of it"
    what = f"cut by retention (the log begins at {start}){where}: not counted again"
    found.notes.append(_problem(number, one, what))
    return False


def _covers(older: Log, one: RangeReceipt, end: int) -> bool:
    known = older.topics().get(one.topic)
    return (
        known is not None
        and one.partition < known.partitions
        and older.start(one.topic, one.partition) <= one.start
        and older.end(one.topic, one.partition) >= end
    )


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Ranges of one place, and where the log began when it was seen that they are there."""

    place: Place
    begin: int
    ranges: Ranges

    @property
    def offsets(self) -> int:
        return sum(one.end - one.start for _, one in self.ranges)


@dataclass(kw_only=True)
class _Counted:
    """Ranges of one place, counted again: their rows, what differs, and those that were cut meanwhile."""

    rows: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    cut: Ranges = field(default_factory=list)


def _check_place(log: Log, older: Log | None, told: OnRecords | None, work: _Work) -> _Counted:
    (name, partition), ranges = work.place, work.ranges
    bounds = [(one.start, one.end) for _, one in ranges]
    topic = TOPICS.get(name)
    again = count_ranges(log, name, topic, partition, bounds, older=older, on_records=told)
    counted = _Counted()
    for at, (number, sealed) in enumerate(ranges):
        try:
            now = next(again)
        except LogError as error:
            if log.start(*work.place) > work.begin:
                counted.cut = ranges[at:]
                break
            left = len(ranges) - at - 1
            # What follows damage cannot be counted in the same pass.
            more = f"; {left} later ranges of it were not counted" if left else ""
            counted.problems.append(_problem(number, sealed, f"{error}{more}"))
            break
        counted.rows.append(now.rows)
        if now != sealed:
            counted.problems.append(_problem(number, sealed, _difference(sealed, now)))
    return counted


def _difference(sealed: RangeReceipt, again: RangeReceipt) -> str:
    for what in ("records", "rows"):
        left, right = getattr(sealed, what), getattr(again, what)
        if left != right:
            return f"sealed with {left:,} {what}, now {right:,}"
    if sealed.digest != again.digest:
        return f"rows were altered: sealed with digest {sealed.digest}, now {again.digest}"
    if sealed.appended_to != again.appended_to:
        return f"sealed with newest append time {sealed.appended_to}, now {again.appended_to}"
    return (
        "the rows are the same, but not all of the records: their order, keys, headers, append times, "
        f"ts_recv or other bytes (SHA-256 {sealed.sha256[:16]}… then, {again.sha256[:16]}… now)"
    )


def _unsealed(log: Log, ends: Ends) -> int:
    known = log.topics()
    count = 0
    for name in sealable(log):
        of = ends.get(name, [])
        for partition in range(known[name].partitions):
            after = of[partition] if partition < len(of) else 0
            count += max(0, log.end(name, partition) - max(after, log.start(name, partition)))
    return count


def _problem(number: int, one: RangeReceipt, what: str) -> Problem:
    return Problem(
        link=number,
        topic=one.topic,
        partition=one.partition,
        start=one.start,
        end=one.end,
        what=what,
    )
