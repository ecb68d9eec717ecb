"""What a range of offsets of one partition holds, as receipts say it: counted from records, wherever they are.

Two digests, for two questions. ``digest`` is the order-free sum of row digests that `tapeflow receipt` and
`replay --compare` show: the same rows give the same, in whichever log they are. ``sha256`` is bound to
this log: it runs over everything that a reader can see of the records (offset, append time, key, headers, rows
in their order with ``ts_recv``), and no one can make other records with the same one. It is taken of the
canonical bytes of rows, not of their Arrow encoding, so that the lake, which keeps rows and particulars of
every record, gives the same.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import Log, LogError, Record
from connectors.records import decode_rows, is_rows
from connectors.scan import scan_records
from schemas.canonical import canonical_bytes
from schemas.codec import CodecError
from schemas.digest import DigestSum
from schemas.field import RECEIVE_TIME
from schemas.murmur import murmur3_128
from schemas.topic import Topic

# Rows whose canonical bytes stay in the processor's cache between writing and hashing.
_BLOCK_ROWS = 4096
_PLACE = struct.Struct("<qq")
_LENGTH = struct.Struct("<q")
_NO_TIME = -(1 << 63)

OnRecords = Callable[[int, int], None]
"""Told how many offsets were passed, and how many rows were in them."""


@dataclass(frozen=True, kw_only=True)
class RangeReceipt:
    """What the offsets ``start`` (inclusive) to ``end`` (exclusive) of a partition hold.

    Parameters
    ----------
    topic, partition : str, int
        Which.
    start, end : int
        The range.
    records : int
        Records; fewer than offsets where the log has markers between them.
    rows : int
        Rows in them; inboxes and control topics have none.
    digest : str
        Order-free 128-bit sum of the row digests, 32 hexadecimal digits.
    sha256 : str
        SHA-256 over the records in their order, 64 hexadecimal digits.
    appended_to : int
        Newest append time, ns since 1970 UTC; 0 without records.
    """

    topic: str
    partition: int
    start: int
    end: int
    records: int
    rows: int
    digest: str
    sha256: str
    appended_to: int


def count_ranges(
    log: Log,
    name: str,
    topic: Topic | None,
    partition: int,
    bounds: Sequence[tuple[int, int]],
    *,
    older: Log | None = None,
    on_records: OnRecords | None = None,
) -> Iterator[RangeReceipt]:
    """Count ranges of one partition, in one pass over it.

    Parameters
    ----------
    log : Log
        Where the records are.
    name : str
        Log topic.
    topic : Topic or None
        What its rows are; None where it has none (an inbox, a control topic).
    partition : int
        Which.
    bounds : sequence of (int, int)
        Start and end of each range, ascending, none overlapping another.
    older : Log or None
        Where the records below the log's start are: the lake.
    on_records : callable or None
        See `OnRecords`.

    Raises
    ------
    LogError
        Where a record of a range is in neither log, or its bytes are damaged.
    """
    cut = log.start(name, partition)
    for start, end in bounds:
        counter = _Counter(topic)
        passed = start
        for record in _records(log, older, (name, partition), (start, end), cut):
            rows = counter.add(record)
            if on_records is not None:
                on_records(record.offset + 1 - passed, rows)
            passed = record.offset + 1
        if on_records is not None:
            on_records(end - passed, 0)
        yield counter.receipt(name, partition, start, end)


def _records(
    log: Log, older: Log | None, place: tuple[str, int], span: tuple[int, int], cut: int
) -> Iterator[Record]:
    name, partition = place
    start, end = span
    if start < cut:
        if older is None:
            raise LogError(f"{name}[{partition}]: the log begins at {cut}, above {start}")
        yield from scan_records(older, name, partition, start=start, end=min(cut, end))
    if max(start, cut) < end:
        yield from scan_records(log, name, partition, start=max(start, cut), end=end)


class _Counter:
    """Takes records in, one after the other."""

    def __init__(self, topic: Topic | None) -> None:
        self._topic = topic
        self._sum = DigestSum()
        self._sha256 = hashlib.sha256()
        self._records = 0
        self._appended_to = 0

    def add(self, record: Record) -> int:
        """Take a record in; how many rows it has."""
        self._records += 1
        self._appended_to = max(self._appended_to, record.append_time_ns)
        self._sha256.update(_particulars(record))
        batch = _batch(self._topic, record)
        if batch is None or self._topic is None:
            self._sha256.update(_sized(record.value))
            return 0
        self._sha256.update(_LENGTH.pack(batch.num_rows))
        for start in range(0, batch.num_rows, _BLOCK_ROWS):
            data, starts = canonical_bytes(self._topic, batch.slice(start, _BLOCK_ROWS))
            self._sha256.update(data)
            self._sum.add(murmur3_128(data, starts))
        if RECEIVE_TIME in batch.schema.names:
            times = pc.fill_null(batch.column(RECEIVE_TIME).cast(pa.int64()), _NO_TIME)
            self._sha256.update(times.to_numpy(zero_copy_only=False).tobytes())
        return int(batch.num_rows)

    def receipt(self, name: str, partition: int, start: int, end: int) -> RangeReceipt:
        """What was taken in, as the receipt of a range."""
        return RangeReceipt(
            topic=name,
            partition=partition,
            start=start,
            end=end,
            records=self._records,
            rows=self._sum.rows,
            digest=self._sum.hexdigest(),
            sha256=self._sha256.hexdigest(),
            appended_to=self._appended_to,
        )


def _batch(topic: Topic | None, record: Record) -> pa.RecordBatch | None:
    """The record's rows; None where it has none, or is not what it says: its bytes count then."""
    if topic is None or not is_rows(record):
        return None
    try:
        batch = decode_rows(topic, record)
        # Whoever altered a log may have altered codes and lengths: the kernels trust both.
        batch.validate(full=True)
    except (CodecError, pa.ArrowInvalid):
        return None
    return batch


def _particulars(record: Record) -> bytes:
    parts = [_PLACE.pack(record.offset, record.append_time_ns), _sized(record.key)]
    parts.append(_LENGTH.pack(len(record.headers)))
    for name, value in record.headers:
        parts += [_sized(name.encode()), _sized(value)]
    return b"".join(parts)


def _sized(value: bytes | None) -> bytes:
    """Bytes behind their length, so that no two sequences of values read the same; -1 for none."""
    return _LENGTH.pack(-1) if value is None else _LENGTH.pack(len(value)) + value
