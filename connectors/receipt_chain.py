"""The chain of receipts in ``_receipts``: links that say what the log held, each signed, each with the hash of the one before.

A link's value is canonical JSON (sorted keys, no spaces); its hash is the SHA-256 of these bytes. So a byte
that is changed breaks the link's signature and the next one's ``previous``, and whoever has a link's hash has all
that came before it: the newest hash, the *head*, is what is written outside of the log.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import TypeAdapter, ValidationError

from connectors.control import (
    LANDINGS_TOPIC,
    RECEIPTS_TOPIC,
    control_record,
    receipts_config,
    snapshots_topic,
)
from connectors.log import Log, LogError
from connectors.receipt_keys import is_signed, public_hex
from connectors.receipt_ranges import OnRecords, RangeReceipt, count_ranges
from connectors.scan import scan_records
from schemas.registry import TOPICS

WRITER = "receipts"
NO_LINK = "0" * 64
"""What the first link has as the hash of the link before."""

Ends = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A range as a link has it.

    Parameters
    ----------
    after : int
        Up to where the partition was sealed before. ``receipt.start`` is the same, or above it where
        records were cut before they were sealed, or below it where the log had lost sealed ones.
    receipt : RangeReceipt
        What it holds.
    """

    after: int
    receipt: RangeReceipt


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link of the chain.

    Parameters
    ----------
    number : int
        From 1, without gaps.
    previous : str
        Hash of the link before; `NO_LINK` for the first.
    key : str
        Public key that signed it.
    ends : dict of str to list of int
        Up to where each topic is sealed, by partition.
    ranges : tuple of Sealed
        What is new in it, by topic and partition.
    signature : str
        Ed25519 over the canonical JSON of all the rest.
    format : 1
        Of the link itself.
    """

    number: int
    previous: str
    key: str
    ends: Ends
    ranges: tuple[Sealed, ...]
    signature: str
    format: Literal[1] = 1

    @property
    def body(self) -> bytes:
        """What is signed."""
        value = self.value()
        del value["signature"]
        return canonical(value)

    @property
    def hash(self) -> str:
        """SHA-256 of the link's canonical JSON, 64 hexadecimal digits."""
        return hashlib.sha256(canonical(self.value())).hexdigest()

    @property
    def rows(self) -> int:
        """Rows in its ranges."""
        return sum(one.receipt.rows for one in self.ranges)

    @property
    def appended_to(self) -> int:
        """Newest append time of what it seals, ns since 1970 UTC."""
        return max((one.receipt.appended_to for one in self.ranges), default=0)

    def is_signed(self) -> bool:
        """Whether the signature is that of the key which the link names."""
        return is_signed(self.key, self.signature, self.body)

    def value(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


_LINK = TypeAdapter(Link)


class LinkError(ValueError):
    """Bytes that are no link."""


def canonical(value: dict[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces, as control records are written."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parse_link(value: bytes | None) -> Link:
    """The link of a record's value.

    Raises
    ------
    LinkError
        Where it is none, or is not written canonically: one link has one form, and so one hash.
    """
    try:
        link = _LINK.validate_json(value or b"", strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LinkError(f"no link: {where or 'its JSON'}: {first['msg']}") from error
    if canonical(link.value()) != value:
        raise LinkError("no link in its canonical form")
    return link


def read_links(log: Log) -> Iterator[tuple[int, bytes | None]]:
    """Offset and value of every record of the chain, in order."""
    if RECEIPTS_TOPIC in log.topics():
        for record in scan_records(log, RECEIPTS_TOPIC, 0):
            yield record.offset, record.value


def last_link(log: Log) -> Link | None:
    """The newest link, or None before the first.

    Raises
    ------
    LogError
        Where it is not a link, or is not signed with the key that it names.
    """
    last = log.last(RECEIPTS_TOPIC, 0) if RECEIPTS_TOPIC in log.topics() else None
    if last is None:
        return None
    try:
        link = parse_link(last.value)
    except LinkError as error:
        raise _broken(last.offset, str(error)) from error
    if not link.is_signed():
        raise _broken(last.offset, "its signature is wrong")
    return link


def sealed_ends(log: Log) -> Ends:
    """Up to where each topic is sealed, by partition; empty before the first link."""
    link = last_link(log)
    return {} if link is None else link.ends


def sealable(log: Log) -> list[str]:
    """The topics that receipts speak of: rows, inboxes, feeds and progress.

    Not what is cut and made again all the time (snapshots, the lander's records), the chain itself, or
    what a replay wrote beside the live topics.
    """
    fixed = {name for topic in TOPICS.values() for name in (topic.name, topic.inbox_name)}
    left_out = (LANDINGS_TOPIC, RECEIPTS_TOPIC)
    return [
        name
        for name in log.topics()
        if name in fixed
        or (
            name.startswith("_")
            and name not in left_out
            and not name.startswith(snapshots_topic(""))
        )
    ]


def seal(
    log: Log,
    key: Ed25519PrivateKey,
    *,
    new_key: bool = False,
    repaired: bool = False,
    on_records: Callable[[int], OnRecords] | None = None,
) -> Link | None:
    """Append the next link: all that was appended since the last one.

    Parameters
    ----------
    log : Log
        What is sealed.
    key : Ed25519PrivateKey
        Signs the link.
    new_key : bool
        Whether the key may be another than the last link's.
    repaired : bool
        Whether the log may have lost what was sealed (a repair, a topic deleted): the ranges concerned
        are sealed again as they are now, and the chain says so for ever.
    on_records : callable or None
        Told how many offsets there are to pass; returns what is told as they are passed.

    Returns
    -------
    Link or None
        The link; None where nothing is new.

    Raises
    ------
    LogError
        Where the chain does not end in a link of the same key, or the log lacks what was sealed.
    """
    log.create_topic(receipts_config())
    # The fence first: no other copy can add a link once the last one was read.
    with log.writer(WRITER) as writer:
        last = last_link(log)
        public = public_hex(key.public_key())
        if last is not None and last.key != public and not new_key:
            raise LogError(
                f"the last receipt (link {last.number}) was signed with another key ({last.key[:16]}…) than "
                f"this one ({public[:16]}…): set receipt_key to that key's file, or say --new-key"
            )
        spans = _new_spans(log, last, repaired=repaired)
        if not spans:
            return None
        told = None if on_records is None else on_records(sum(_length(one) for one in spans))
        ranges = tuple(_sealed_span(log, one, told) for one in spans)
        link = _signed(key, last, ranges)
        record = control_record(RECEIPTS_TOPIC, 0, link.value())
        writer.commit([record], writer.number + 1)
    return link


@dataclass(frozen=True)
class _Span:
    name: str
    partition: int
    after: int
    start: int
    end: int


def _new_spans(log: Log, last: Link | None, *, repaired: bool) -> list[_Span]:
    ends = {} if last is None else last.ends
    known = log.topics()
    spans = []
    for name in sorted({*sealable(log), *ends}):
        sealed = ends.get(name, [])
        partitions = known[name].partitions if name in known else 0
        for partition in range(max(partitions, len(sealed))):
            after = sealed[partition] if partition < len(sealed) else 0
            first = log.start(name, partition) if partition < partitions else 0
            end = log.end(name, partition) if partition < partitions else 0
            if end < after:
                if not repaired:
                    raise LogError(
                        f"{name}[{partition}] is sealed up to offset {after}, and the log ends at {end}: it "
                        "has lost records; `tapeflow receipt verify` says which links speak of them. If that is "
                        "known (a repair, a topic deleted), `tapeflow receipt seal --repaired` goes on from what "
                        "there is, and the chain says so"
                    )
                start = min(_first_affected(log, name, partition, end), end)
                spans.append(_Span(name, partition, after, max(start, min(first, end)), end))
            elif end > after:
                spans.append(_Span(name, partition, after, min(max(after, first), end), end))
    return spans


def _first_affected(log: Log, name: str, partition: int, end: int) -> int:
    """Start of the first sealed range that goes beyond an end."""
    for _, value in read_links(log):
        for one in parse_link(value).ranges:
            counted = one.receipt
            if (counted.topic, counted.partition) == (name, partition) and counted.end > end:
                return counted.start
    return end


def _sealed_span(log: Log, span: _Span, on_records: OnRecords | None) -> Sealed:
    topic = TOPICS.get(span.name)
    if span.start == span.end:
        return Sealed(after=span.after, receipt=_empty(span))
    (counted,) = count_ranges(
        log, span.name, topic, span.partition, [(span.start, span.end)], on_records=on_records
    )
    return Sealed(after=span.after, receipt=counted)


def _empty(span: _Span) -> RangeReceipt:
    """Of a range without offsets: everything was cut, or lost."""
    return RangeReceipt(
        topic=span.name,
        partition=span.partition,
        start=span.start,
        end=span.end,
        records=0,
        rows=0,
        digest="0" * 32,
        sha256=hashlib.sha256().hexdigest(),
        appended_to=0,
    )


def _signed(key: Ed25519PrivateKey, last: Link | None, ranges: tuple[Sealed, ...]) -> Link:
    ends = {} if last is None else {name: list(of) for name, of in last.ends.items()}
    for one in ranges:
        counted = one.receipt
        of = ends.setdefault(counted.topic, [])
        of.extend([0] * (counted.partition + 1 - len(of)))
        of[counted.partition] = counted.end
    unsigned = Link(
        number=1 if last is None else last.number + 1,
        previous=NO_LINK if last is None else last.hash,
        key=public_hex(key.public_key()),
        ends=ends,
        ranges=ranges,
        signature="",
    )
    return replace(unsigned, signature=key.sign(unsigned.body).hex())


def _length(span: _Span) -> int:
    return span.end - span.start


def _broken(offset: int, why: str) -> LogError:
    return LogError(
        f"{RECEIPTS_TOPIC}[0] at offset {offset}: {why}: the chain of receipts was altered; "
        "`tapeflow receipt verify` names the first broken link"
    )
