"""IEX market data captures: TOPS 1.6 and DEEP 1.0 over IEX-TP, in pcap or pcapng files.

Quote updates go to `quotes`, trade reports and breaks (action cancel) to `trades`, price level updates
(``level``) and trading status (``halt``) to `book_events`. Other messages are left out and counted.

The transport numbers its messages: what is missing becomes a ``gap`` in `feed_events`, what comes again is
left out. Numbers that go back in a packet that was sent later are no repetition but a stream that begins anew
(``resynchronised``): its books are cleared. A "line" of these files is a message, or a packet without
messages, by its number in the capture.

Sources: IEX Transport Specification 1.25, TOPS Specification 1.66, DEEP Specification 1.08
(https://iextrading.com/docs/).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from connectors.feeds.iex_restarts import clear_books
from connectors.feeds.iex_rows import READ, SIZES, SKIPPED, TOPICS
from connectors.feeds.messages import Notice, TopicRows, notice_rows
from connectors.feeds.parts import MessageFile, Stretch, parts
from connectors.feeds.pcap import Span, is_capture, packet_blocks, udp_payload
from connectors.feeds.source import BrokenFileError, Fault, Format, Probe, Source
from schemas.arrays import Int64s
from schemas.feed_events import FEED_EVENTS

# Version, protocol, channel, session, payload length, message count, (stream offset), first sequence number,
# send time.
_HEADER = struct.Struct("<BxHIIHH8xqq")
_PROTOCOLS = {0x8003: "TOPS 1.6", 0x8004: "DEEP 1.0"}

_TOLD = -1

_HEARTBEAT = "heartbeat"
_NOT_UDP = "packet that is not whole, or no UDP over IPv4"
_NOT_IEX = "packet of another protocol"
_AGAIN = "message that came before"
_CUT = "the capture ends within this packet"
_SHORT = "the packet is shorter than its header says"
_NO_NUMBER = "the packet's sequence number is below 0"


class Iex(Format):
    """IEX captures."""

    name = "iex"
    summary = "IEX TOPS 1.6 or DEEP 1.0 capture, .pcap or .pcapng (.gz)"

    def matches(self, probe: Probe) -> bool:
        """Whether the content is a network capture: no other format here is."""
        return is_capture(probe.head)

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a capture: its quotes, trades, book events, and what was noticed."""
        return parts(_IexFile(probe.path, self.name, block_bytes))


class _IexFile(MessageFile):
    topics = (*TOPICS, FEED_EVENTS)

    def __init__(self, path: Path, source: str, block_bytes: int) -> None:
        super().__init__(path, block_bytes)
        self._source = source

    def stretches(self) -> Iterator[Stretch]:
        """All of the capture."""
        streams: dict[tuple[int, int], _Stream] = {}
        books: set[str] = set()
        line = 1
        try:
            for packets in packet_blocks(self._stream, self._block_bytes):
                messages = _Messages(packets.data, line, streams)
                for packet in packets.whole:
                    messages.add(packet)
                if packets.cut is not None:
                    messages.add(packets.cut, cut=True)
                yield messages.stretch(self._source, books)
                line += messages.count
        except BrokenFileError as error:
            raise BrokenFileError(f"{error} behind message {line - 1}") from error


@dataclass(slots=True)
class _Stream:
    """A channel and session: the next sequence number, and when its latest packet was sent."""

    next: int
    sent_ns: int


@dataclass(slots=True)
class _Messages:
    """The messages of a block of packets.

    Parameters
    ----------
    data : bytes
        In which they lie.
    first_line : int
        Number of the first one.
    streams : dict of (int, int) to _Stream
        By channel and session; kept over the blocks.
    """

    data: bytes
    first_line: int
    streams: dict[tuple[int, int], _Stream]
    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many messages there are, packets without any among them."""
        return len(self.starts)

    def add(self, packet: Span, *, cut: bool = False) -> None:
        """Add a packet's messages; of the one within which the capture ends those that are whole."""
        payload = udp_payload(self.data, packet, cut=cut)
        if payload is None or payload[1] - payload[0] < _HEADER.size:
            if cut:
                self.faults.append((self.count, _CUT))
            self._alone(packet, "" if cut else _NOT_UDP if payload is None else _NOT_IEX)
            return
        at, end = payload
        header = _HEADER.unpack_from(self.data, at)
        _, protocol, channel, session, length, count, first, sent_ns = header
        if protocol not in _PROTOCOLS:
            self._alone(packet, _NOT_IEX)
            return
        if first < 0:
            self.faults.append((self.count, _NO_NUMBER))
            self._alone(packet, "")
            return
        at += _HEADER.size
        self.sent.append((self.count, sent_ns))
        stream = self.streams.setdefault((channel, session), _Stream(first, sent_ns))
        if first < stream.next and sent_ns > stream.sent_ns:
            self.restarts.append(self.count)
            self._notice("resynchronised", header, stream.next)
            stream.next = first
        elif first > stream.next:
            self._notice("gap", header, stream.next)
        old = max(0, stream.next - first)
        stream.next = max(stream.next, first + count)
        stream.sent_ns = max(stream.sent_ns, sent_ns)
        if not count:
            self._alone(packet, _HEARTBEAT)
            return
        self._split((at, min(end, at + length)), count, old, _CUT if cut else _SHORT)

    def _notice(self, kind: str, header: tuple[int, ...], expected: int) -> None:
        _, protocol, channel, _, _, _, first, _ = header
        stream = f"{_PROTOCOLS[protocol]} channel {channel}"
        self.notices.append(
            Notice(at=self.count, kind=kind, stream=stream, expected=expected, found=first)
        )

    def _split(self, payload: Span, count: int, old: int, fault: str) -> None:
        """Cut a payload into its messages, of which the first ``old`` came before."""
        data, starts, sizes = self.data, self.starts, self.sizes
        at, end = payload
        began = len(starts)
        while len(starts) < began + count and at + 2 <= end:
            size = data[at] | data[at + 1] << 8
            if at + 2 + size > end:
                break
            starts.append(at + 2)
            sizes.append(size)
            at += 2 + size
        found = len(starts) - began
        if old:
            again = range(began, began + min(old, found))
            self.skipped.setdefault(_AGAIN, []).extend(again)
        if found < count:
            self.faults.append((self.count, fault))
            self._alone((at, end), "")

    def _alone(self, packet: Span, why: str) -> None:
        """A packet that has no message of its own takes a number; its size is kept below zero."""
        if why:
            self.skipped.setdefault(why, []).append(self.count)
        self.starts.append(packet[0])
        self.sizes.append(packet[0] - packet[1])

    def stretch(self, source: str, books: set[str]) -> Stretch:
        """What the messages came to.

        Parameters
        ----------
        source : str
            Name of the source in `feed_events`.
        books : set of str
            Symbols that have price levels; kept over the blocks.
        """
        starts, sizes = np.array(self.starts, np.int64), np.array(self.sizes, np.int64)
        text = np.frombuffer(self.data, np.uint8)
        kinds = np.where(sizes > 0, text[np.minimum(starts, len(text) - 1)], 0).astype(np.int64)
        # What was told already is of no kind; all the others become rows, faults, or are left out by kind.
        told = [at for at, _ in self.faults]
        for left_out in self.skipped.values():
            told += left_out
        kinds[told] = _TOLD
        faults = list(self.faults)
        groups: list[TopicRows] = []
        for topic, decode in READ:
            mine = np.flatnonzero(np.isin(kinds, decode.kinds))
            short = sizes[mine] < SIZES[kinds[mine]]
            faults += [
                (at, f"message {chr(kinds[at])} of {sizes[at]} bytes is too short")
                for at in mine[short].tolist()
            ]
            at = mine[~short]
            if len(at):
                rows = decode.rows(text, starts[at], kinds[at])
                groups.append(TopicRows(topic=topic, rows=rows, at=at))
        groups = clear_books(groups, books, self.restarts, self._sent_ns())
        if self.notices:
            groups.append(notice_rows(source, self.notices, self._sent_ns()))
        return self._stretch(groups, faults, self._left_out(kinds))

    def _left_out(self, kinds: Int64s) -> dict[str, Int64s]:
        left = {why: np.array(at, np.int64) for why, at in self.skipped.items()}
        rest = np.flatnonzero((kinds != _TOLD) & (SIZES[kinds] == 0))
        others = np.array([kind not in SKIPPED for kind in kinds[rest].tolist()], np.bool_)
        for kind in np.unique(kinds[rest[~others]]).tolist():
            left[SKIPPED[kind]] = rest[kinds[rest] == kind]
        if others.any():
            left["message of another type"] = rest[others]
        return left

    def _sent_ns(self) -> Int64s:
        """The send time of each message's packet."""
        begins = [at for at, _ in self.sent]
        times = np.array([0, *(time for _, time in self.sent)], np.int64)
        return times[np.searchsorted(begins, np.arange(self.count + 1), side="right")]

    def _stretch(
        self, groups: list[TopicRows], faults: list[tuple[int, str]], left: dict[str, Int64s]
    ) -> Stretch:
        first = self.first_line
        data, starts, sizes = self.data, self.starts, self.sizes

        def text(line: int) -> bytes:
            at = line - first
            return data[starts[at] : starts[at] + abs(sizes[at])]

        return Stretch(
            groups=tuple(
                TopicRows(topic=group.topic, rows=group.rows, at=group.at + first)
                for group in groups
            ),
            faults=tuple(Fault(at + first, why, text(at + first)) for at, why in sorted(faults)),
            skipped={why: at + first for why, at in left.items()},
            last_line=first + self.count - 1,
            text=text,
        )
