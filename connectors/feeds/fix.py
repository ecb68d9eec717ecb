"""FIX drop-copy logs: the fills of execution reports into `trades`; a message a line, fields ended by SOH or ``|``.

A fill (ExecType F; in FIX 4.2 and before 1 and 2) is a trade of venue LastMkt, else SecurityExchange, else the
sender; its id is ExecID, its side that of our order. A trade cancel (ExecType H) or correction (G) refers to an
earlier fill by ExecRefID; up to FIX 4.2 ExecTransType says that a report is one (1 and 2), or tells a status only (3),
whatever its ExecType. Session messages and other reports are left out and counted; what MsgSeqNum misses
becomes a ``gap`` in `feed_events`. A message sent again (PossDupFlag) is left out if its number was there, and
fills a gap if it was not (``gap_filled``). Body length and checksum are not checked: the session did so when the message
came, and logs with other names put in, as published ones have, would all fail.

Sources: FIX 4.4 with Errata 20030618, volumes 2 (session) and 4 (execution reports); FIX 4.2 with Errata 20010501,
execution report; https://www.fixtrading.org.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from connectors.feeds.archive import line_blocks
from connectors.feeds.messages import MALFORMED, Notice, TopicRows, malformed, notice_rows
from connectors.feeds.parts import MessageFile, Stretch, parts
from connectors.feeds.sequence import Found, Numbers
from connectors.feeds.source import Fault, Format, Probe, Rows, Source
from schemas.feed_events import FEED_EVENTS
from schemas.field import TIMESTAMP
from schemas.market import TRADES

_LINE = re.compile(rb"8=FIX(?:T\.1\.1|\.4\.\d)[\x01|]9=\d+[\x01|]35=")
_SOH = b"\x01"
_TIME = re.compile(r"(\d{8}-\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?")
_NUMBER = re.compile(r"[0-9]{1,9}")
# What int64 nanoseconds can say.
_FIRST_YEAR, _LAST_YEAR = 1900, 2261
_TRAILER = re.compile(rb"10=\d{3}\x01$")

_SESSION = frozenset("012345A")
_EXECUTION_REPORT = "8"
_SEQUENCE_RESET = "4"
_ACTIONS = {"F": "new", "1": "new", "2": "new", "H": "cancel", "G": "correct"}
# By ExecTransType, which came to an end with FIX 4.2; a report with another one is what its ExecType says.
_TRANSACTIONS = {"1": "cancel", "2": "correct", "3": ""}
_SIDES = {"1": "buy", "3": "buy", "2": "sell", "4": "sell", "5": "sell", "6": "sell"}

_Row = dict[str, object]


class Fix(Format):
    """FIX logs."""

    name = "fix"
    summary = "FIX 4.x log, a message a line, fields ended by SOH or |"

    def matches(self, probe: Probe) -> bool:
        """Whether the first line is a FIX message."""
        return _LINE.match(probe.first_line) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a log: its fills, and gaps in its numbers."""
        return parts(_FixFile(probe.path, self.name, block_bytes))


class _FixFile(MessageFile):
    topics = (TRADES, FEED_EVENTS)

    def __init__(self, path: Path, source: str, block_bytes: int) -> None:
        super().__init__(path, block_bytes)
        self._source = source

    def stretches(self) -> Iterator[Stretch]:
        """All of the log."""
        sessions: dict[tuple[str, str], Numbers] = {}
        for data, first_line in line_blocks(self._stream, self._block_bytes):
            messages = _Messages(first_line=first_line, sessions=sessions)
            lines = [line.rstrip(b"\r") for line in data.split(b"\n")[:-1]]
            # Message by message: what each is hangs on those before it (its session's numbers), and fields have no
            # places. 36,000 fills a second on one core: a log holds what a desk itself sent and was sent, not a market.
            for line in lines:
                messages.add(line)
            yield messages.stretch(self._source, lines)


@dataclass(slots=True, kw_only=True)
class _Messages:
    """The messages of a block of lines; ``sessions`` are the numbers of each, kept over the blocks."""

    first_line: int
    sessions: dict[tuple[str, str], Numbers]
    count: int = 0
    rows: list[_Row] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    sent_ns: list[int] = field(default_factory=list)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def add(self, line: bytes) -> None:
        """Add a line."""
        self.sent_ns.append(0)
        try:
            self._take(line)
        except MALFORMED as error:
            reason = f"field {error} is missing" if isinstance(error, KeyError) else None
            self.faults.append((self.count, reason or malformed(error)))
        self.count += 1

    def _take(self, line: bytes) -> None:
        if not line or line.startswith(b"#"):
            self._skip("comment")
            return
        fields = _fields(line)
        self.sent_ns[-1] = _time_ns(fields["52"])
        if not self._is_new(fields):
            self._skip("message sent again (PossDupFlag)")
            return
        kind = fields["35"]
        if kind in _SESSION:
            self._skip("session message")
        elif kind != _EXECUTION_REPORT:
            self._skip("application message of another kind")
        elif not _action(fields):
            self._skip("execution report that is no fill")
        else:
            self.rows.append(_row(fields))
            self.at.append(self.count)

    def _skip(self, why: str) -> None:
        self.skipped.setdefault(why, []).append(self.count)

    def _is_new(self, fields: dict[str, str]) -> bool:
        """Whether a message was not there before, by its number; what is not as it should be is noticed."""
        session = (fields["49"], fields["56"])
        number, again = _number(fields["34"]), fields.get("43") == "Y"
        skips_to = _number(fields["36"]) if fields["35"] == _SEQUENCE_RESET else 0
        numbers = self.sessions.setdefault(session, Numbers())
        expected = numbers.expected
        reset = fields["35"] == "A" and fields.get("141") == "Y"
        if reset or (number < expected and not again):
            numbers = self.sessions[session] = Numbers()
            if not reset:
                # A lower number without a duplicate flag: the counterparty began anew.
                self._notice("resynchronised", session, expected, number)
        found = numbers.take(number)
        if found is Found.AHEAD:
            self._notice("gap", session, expected, number)
        elif found is Found.LATE:
            self._notice("gap_filled", session, expected, number)
        if skips_to > numbers.expected:
            numbers.go_to(skips_to)
        return found is not Found.TWICE

    def _notice(self, kind: str, session: tuple[str, str], expected: int, found: int) -> None:
        self.notices.append(
            Notice(
                at=self.count,
                kind=kind,
                stream=" to ".join(session),
                expected=expected,
                found=found,
            )
        )

    def stretch(self, source: str, lines: list[bytes]) -> Stretch:
        """What the messages came to."""
        first = self.first_line
        groups = []
        if self.rows:
            at = np.array(self.at, np.int64) + first
            groups.append(TopicRows(topic=TRADES, rows=_trades(self.rows), at=at))
        if self.notices:
            noticed = notice_rows(source, self.notices, np.array(self.sent_ns, np.int64))
            groups.append(TopicRows(topic=noticed.topic, rows=noticed.rows, at=noticed.at + first))
        return Stretch(
            groups=tuple(groups),
            faults=tuple(Fault(at + first, why, lines[at]) for at, why in self.faults),
            skipped={why: np.array(at, np.int64) + first for why, at in self.skipped.items()},
            last_line=first + self.count - 1,
            text=lambda line: lines[line - first],
        )


def _fields(line: bytes) -> dict[str, str]:
    """A message's fields by tag; of a repeated tag the first."""
    message = line if _SOH in line else line.replace(b"|", _SOH)
    if not message.startswith(b"8=FIX") or _TRAILER.search(message) is None:
        raise ValueError("no FIX message: 8=FIX… first and 10=nnn last were needed")
    fields: dict[str, str] = {}
    for part in message.decode("latin-1").split("\x01")[:-1]:
        tag, _, value = part.partition("=")
        fields.setdefault(tag, value)
    return fields


def _action(fields: dict[str, str]) -> str:
    """What an execution report does to a trade; empty where it does nothing."""
    transaction = _TRANSACTIONS.get(fields.get("20", ""))
    return _ACTIONS.get(fields["150"], "") if transaction is None else transaction


def _row(fields: dict[str, str]) -> _Row:
    action = _action(fields)
    return {
        "symbol": fields["55"].upper(),
        "venue": fields.get("30") or fields.get("207") or fields["49"],
        "ts_event": _time_ns(fields.get("60") or fields["52"]),
        "price": float(fields["31"]),
        "size": float(fields["32"]),
        "side": _SIDES.get(fields["54"]),
        "trade_id": fields["17"],
        "action": action,
        "ref_trade_id": None if action == "new" else fields["19"],
    }


def _number(text: str) -> int:
    """A MsgSeqNum; one of more digits than nine is none that a session comes to."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"number {text!r}; 1 to 9 digits were needed")
    return int(text)


def _time_ns(text: str) -> int:
    """A UTCTimestamp, to whatever digit it has."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"time {text!r}; YYYYMMDD-HH:MM:SS with or without a fraction was needed")
    second = datetime.strptime(found[1], "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    if not _FIRST_YEAR <= second.year <= _LAST_YEAR:
        raise ValueError(f"time {text!r}; a year from {_FIRST_YEAR} to {_LAST_YEAR} was needed")
    return int(second.timestamp()) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def _trades(rows: list[_Row]) -> Rows:
    ts = pa.array([row["ts_event"] for row in rows], pa.int64()).view(TIMESTAMP)
    words = {
        name: pa.array([row[name] for row in rows], pa.string())
        for name in ("symbol", "venue", "side", "trade_id", "action", "ref_trade_id")
    }
    yes = np.ones(len(rows), np.bool_)
    batch = TRADES.batch(
        {
            **words,
            "ts_event": ts,
            "ts_recv": ts,
            "price": pa.array([row["price"] for row in rows], pa.float64()),
            "size": pa.array([row["size"] for row in rows], pa.float64()),
            "updates_high_low": yes,
            "updates_last": yes,
            "updates_volume": yes,
        }
    )
    return Rows(batch=batch)
