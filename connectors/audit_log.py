"""The audit log's hash chain: its one writer, fenced over all processes, and its verifier.

Each row has a number, the hash of the row before it, and its own hash over all it says. So a row that is
changed, taken out, put in or moved breaks the chain there. Rows cut off at the *end* break nothing: for these,
keep the head (the newest row's number and hash) outside, or seal receipts (`connectors.receipt_chain`), which
speak of this topic too.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import orjson
import pyarrow as pa

from connectors.log import FencedError, Log, LogError, NewRecord, Writer
from connectors.records import decode_rows, rows_record
from connectors.scan import scan_rows
from schemas.audit_log import AUDIT_LOG
from schemas.codec import CodecError

WRITER = "audit_log"
NO_ROW = "0" * 64
"""What the first row has as the hash of the row before."""
NOBODY = "-"
"""Actor where nobody was named: the key of a row is not empty."""

# Another process that writes takes the chain over; each of them goes on as soon as it has it back.
_TAKEOVERS_MAX = 200
_TAKEOVER_WAIT_S = 0.005
_WORD_MAX = 100
_TEXT_MAX = 8_000


class OutdatedError(LogError):
    """What records were made from has changed before they were appended; nothing of them is in the log."""


class AuditLogError(LogError):
    """The chain cannot be gone on with; the message says where it ends and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What is said of something that somebody did.

    Parameters
    ----------
    actor : str
        User, or what was given as one; `NOBODY` for none.
    ts_event : int
        When, ns since 1970 UTC.
    action, result : str
        What, and how it ended (``done``, ``refused``, ``failed``).
    subject, reason, origin, device, correlation_id : str or None
        As the topic's fields of these names.
    """

    actor: str
    ts_event: int
    action: str
    result: str
    subject: str | None = None
    reason: str | None = None
    origin: str | None = None
    device: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: its number and hash; before the first row, 0 and `NO_ROW`."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A place where the chain does not hold."""

    offset: int
    row: int
    sequence: int
    why: str


def row_hash(row: Mapping[str, Any]) -> str:
    """SHA-256 of a row's canonical JSON, 64 hexadecimal digits.

    Parameters
    ----------
    row : mapping
        The topic's fields; times as ns since 1970. ``ts_recv`` and ``hash`` do not count.
    """
    body = {name: value for name, value in row.items() if name not in ("ts_recv", "hash")}
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


class AuditWriter:
    """Appends to the chain; several processes may have one each, and the chain does not fork.

    The log's fence makes it so: who appends has opened the named writer last, and has read the head after that.
    A process that finds itself fenced opens the writer again, reads the new head, and tries again.

    Parameters
    ----------
    log : Log
        Stays open when this is closed; with the topic made.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = Lock()
        self._writer: Writer | None = None
        self._number = 0
        self._head = Head(0, NO_ROW)

    def append(
        self,
        entries: Sequence[AuditEntry],
        records: Sequence[NewRecord] = (),
        *,
        holds: Callable[[], bool] | None = None,
    ) -> list[int]:
        """Append rows to the chain; on disk when this returns.

        Parameters
        ----------
        entries : sequence of AuditEntry
            In order.
        records : sequence of NewRecord
            Of other topics, appended in the same commit: all or none. What is audited and the audit of it
            then cost one sync, and there is never one without the other.
        holds : callable, optional
            Whether what the records were made from is so still; asked behind the fence, so that no other writer of
            the chain can change it between the answer and the commit.

        Returns
        -------
        list of int
            Offset of each of ``records``.

        Raises
        ------
        LogError
            Where the log fails; whether the commit took place, the log tells.
        OutdatedError
            Where it does not hold.
        """
        with self._lock:
            for _ in range(_TAKEOVERS_MAX):
                writer = self._opened()
                if holds is not None and not holds():
                    raise OutdatedError("what the records were made from has changed meanwhile")
                batch, head = chained(entries, self._head)
                made = [*records, *([rows_record(AUDIT_LOG, 0, batch)] if entries else [])]
                try:
                    offsets = writer.commit(made, self._number + 1)
                except FencedError:
                    self._forget()
                    time.sleep(_TAKEOVER_WAIT_S)
                    continue
                except BaseException:
                    # Whether it took place is not known: the log is asked before the next one.
                    self._forget()
                    raise
                self._number += 1
                self._head = head
                return offsets[: len(records)]
            raise AuditLogError(
                f"the audit log was taken over by another process {_TAKEOVERS_MAX} times in a row; end one "
                "of the API processes on this log"
            )

    def close(self) -> None:
        """Give the log's writer back."""
        with self._lock:
            self._forget()

    def _opened(self) -> Writer:
        if self._writer is None:
            # The fence first: no other copy can add a row once the head was read.
            self._writer = self._log.writer(WRITER)
            self._number = self._writer.number
            self._head = head_of(self._log)
        return self._writer

    def _forget(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def head_of(log: Log) -> Head:
    """The newest row of the chain.

    Raises
    ------
    AuditLogError
        Where the topic's last record holds no rows of it.
    """
    record = log.last(AUDIT_LOG.name, 0)
    if record is None:
        return Head(0, NO_ROW)
    try:
        last = _rows(decode_rows(AUDIT_LOG, record))[-1]
    except (CodecError, IndexError) as error:
        raise AuditLogError(
            f"audit_log[0] at offset {record.offset}: its newest record is not one of the chain: "
            "`tapeflow audit-log verify` says where the chain breaks"
        ) from error
    return Head(last["sequence"], last["hash"])


def chained(entries: Sequence[AuditEntry], head: Head) -> tuple[pa.RecordBatch, Head]:
    """Rows that go on from a head, and the head behind them."""
    rows = []
    for entry in entries:
        row = _said(entry)
        row["sequence"] = head.sequence + 1
        row["previous_hash"] = head.hash
        row["hash"] = row_hash(row)
        head = Head(row["sequence"], row["hash"])
        rows.append({**row, "ts_recv": row["ts_event"]})
    return AUDIT_LOG.batch_of_rows(rows), head


def verify_chain(log: Log, found: list[Head] | None = None) -> Iterator[Break]:
    """The places where the chain does not hold, in order; none where nothing was altered.

    Parameters
    ----------
    log : Log
        A log, or the lake read as one.
    found : list of Head, optional
        Gets every row's number and hash as they are in the log, in order.
    """
    head = Head(0, NO_ROW)
    for record, batch in scan_rows(log, AUDIT_LOG, 0):
        for index, row in enumerate(_rows(batch)):
            why = _fault(row, head)
            if why:
                yield Break(offset=record.offset, row=index, sequence=row["sequence"], why=why)
            # On from what the row says of itself, so that one break is told once.
            head = Head(row["sequence"], row["hash"])
            if found is not None:
                found.append(head)


def read_rows(log: Log, *, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    """The newest rows of the chain, the newest first; times as ns since 1970.

    Parameters
    ----------
    log : Log
        Where.
    before : int or None
        Only rows of smaller numbers.
    limit : int
        So many rows at most.
    """
    start = log.start(AUDIT_LOG.name, 0)
    at = log.end(AUDIT_LOG.name, 0) if before is None else _offset_of(log, before)
    rows: list[dict[str, Any]] = []
    while at > start and len(rows) < limit:
        first = max(start, at - limit)
        part = [
            row
            for _, batch in scan_rows(log, AUDIT_LOG, 0, start=first, end=at)
            for row in _rows(batch)
            if before is None or row["sequence"] < before
        ]
        rows.extend(reversed(part))
        at = first
    return rows[:limit]


def _offset_of(log: Log, sequence: int) -> int:
    """The first offset whose record begins with that row or a later one."""
    low, high = log.start(AUDIT_LOG.name, 0), log.end(AUDIT_LOG.name, 0)
    while low < high:
        middle = (low + high) // 2
        records = log.read(AUDIT_LOG.name, 0, middle, max_bytes=1).records
        if records and _rows(decode_rows(AUDIT_LOG, records[0]))[0]["sequence"] < sequence:
            low = records[0].offset + 1
        else:
            high = middle
    return low


def _fault(row: Mapping[str, Any], head: Head) -> str:
    if row["hash"] != row_hash(row):
        return "the row was changed: its hash is not that of what it says"
    if row["sequence"] > head.sequence + 1:
        return f"rows {head.sequence + 1} to {row['sequence'] - 1} are missing before it"
    if row["sequence"] <= head.sequence:
        return f"it comes after row {head.sequence}: moved, doubled, or put in"
    if row["previous_hash"] != head.hash:
        return (
            f"it does not follow the row {head.sequence} that is before it: that one was replaced"
        )
    return ""


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    times = {name: batch.column(name).cast(pa.int64()) for name in ("ts_event", "ts_recv")}
    columns = {name: times.get(name, batch.column(name)).to_pylist() for name in batch.schema.names}
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _said(entry: AuditEntry) -> dict[str, Any]:
    # Written out: `asdict` copies deeply, and an order's entry is made behind every order.
    return {
        "actor": _short(entry.actor, _WORD_MAX) or NOBODY,
        "ts_event": entry.ts_event,
        "action": entry.action,
        "result": entry.result,
        "subject": _short(entry.subject, _TEXT_MAX),
        "reason": _short(entry.reason, _TEXT_MAX),
        "origin": _short(entry.origin, _WORD_MAX),
        "device": _short(entry.device, _TEXT_MAX),
        "correlation_id": _short(entry.correlation_id, _WORD_MAX),
    }


def _short(text: str | None, size_max: int) -> str | None:
    if text is None or len(text) <= size_max:
        return text
    return f"{text[:size_max]}… ({len(text)} characters)"
