"""Packets of a network capture, pcap or pcapng, in blocks; their payload over UDP and IPv4.

Only what market data captures have: Ethernet, with or without VLAN tags; no fragments. Capture times are not
read, since market data messages carry their own.

Sources: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/ and .../draft-ietf-opsawg-pcapng/.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from connectors.feeds.archive import ByteStream
from connectors.feeds.source import BrokenFileError, FeedError

# Magic numbers of pcap with times in µs and in ns, in both byte orders.
_PCAP_ORDER = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\xa1\xb2\x3c\x4d": ">",
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_PCAPNG_ORDER = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_PCAP_HEADER = 24
_SECTION, _ENHANCED = 0x0A0D0D0A, 6
# The largest that capturing programs take; more is a damaged length.
_PACKET_MAX = 1 << 18
_ETHERNET, _IPV4, _UDP = 14, 0x0800, 17
_VLAN = (0x8100, 0x88A8)

Span = tuple[int, int]


def is_capture(head: bytes) -> bool:
    """Whether a file with these first bytes is a network capture."""
    return head[:4] in _PCAP_ORDER or head.startswith(_PCAPNG)


@dataclass(frozen=True, slots=True)
class Packets:
    """A block of packets: bytes, where in them each packet begins and ends, and where a cut one lies.

    A capture that was stopped often ends within a packet; that is no damage, since nothing says where
    a capture should end.
    """

    data: bytes
    whole: list[Span]
    cut: Span | None = None


def packet_blocks(stream: ByteStream, block_bytes: int) -> Iterator[Packets]:
    """The packets of a capture, in blocks.

    Raises
    ------
    FeedError
        Where it is no capture.
    BrokenFileError
        Behind the last whole packet, where its container breaks off or it is damaged.
    """
    splitter: _Splitter | None = None
    chunks = iter(stream)
    held: list[bytes] = []
    held_bytes = 0
    broken: BrokenFileError | None = None
    while True:
        try:
            chunk = next(chunks, b"")
        except BrokenFileError as error:
            broken, chunk = error, b""
        held.append(chunk)
        held_bytes += len(chunk)
        if chunk and held_bytes < block_bytes:
            continue
        data = b"".join(held)
        at = 0
        if splitter is None:
            splitter, at = _splitter(stream, data)
        packets, at = splitter.split(data, at)
        over = not chunk and broken is None and not splitter.damage
        begins = at + splitter.header_bytes
        cut = (begins, len(data)) if over and begins < len(data) else None
        if packets or cut:
            yield Packets(data, packets, cut)
        held, held_bytes = [data[at:]], len(data) - at
        if splitter.damage:
            raise BrokenFileError(f"{stream.path}: {splitter.damage}")
        if not chunk:
            break
    if broken is not None:
        raise broken


def udp_payload(data: bytes, packet: Span, *, cut: bool = False) -> Span | None:
    """Where a packet's UDP payload lies; None where it is no UDP over IPv4, or neither whole nor known as cut."""
    at, end = packet
    at += _ETHERNET
    if at > end:
        return None
    kind = _two(data, at - 2)
    while kind in _VLAN and at + 4 <= end:
        at += 4
        kind = _two(data, at - 2)
    if kind != _IPV4 or at + 28 > end or data[at] >> 4 != 4 or data[at + 9] != _UDP:
        return None
    at += 4 * (data[at] & 15)
    if at + 8 > end:
        return None
    size = _two(data, at + 4)
    # What lies behind the datagram fills the Ethernet frame.
    if size < 8 or (at + size > end and not cut):
        return None
    return at + 8, min(at + size, end)


class _Splitter(ABC):
    """Cuts bytes into packets.

    ``damage`` says why it cannot go on, and is empty while it can; ``header_bytes`` lie before each packet.
    """

    damage = ""
    header_bytes: int

    @abstractmethod
    def split(self, data: bytes, at: int) -> tuple[list[Span], int]:
        """The whole packets in data from an offset on, and the offset behind them."""


class _Pcap(_Splitter):
    def __init__(self, order: str) -> None:
        self._header = struct.Struct(f"{order}IIII")
        self.header_bytes = self._header.size

    def split(self, data: bytes, at: int) -> tuple[list[Span], int]:
        """Records: a header with the captured length, the packet."""
        packets: list[Span] = []
        unpack, size = self._header.unpack_from, self._header.size
        while at + size <= len(data):
            length = unpack(data, at)[2]
            if length > _PACKET_MAX:
                self.damage = f"a packet of {length} bytes: the capture is damaged"
                break
            end = at + size + length
            if end > len(data):
                break
            packets.append((at + size, end))
            at = end
        return packets, at


class _Pcapng(_Splitter):
    header_bytes = 28

    def __init__(self) -> None:
        self._order = "<"

    def split(self, data: bytes, at: int) -> tuple[list[Span], int]:
        """Blocks: a type and a length; packets lie in the enhanced packet blocks."""
        packets: list[Span] = []
        while at + 12 <= len(data):
            if data[at : at + 4] == _PCAPNG:
                self._order = _PCAPNG_ORDER.get(data[at + 8 : at + 12], "")
                if not self._order:
                    self.damage = "a section without byte order: the capture is damaged"
                    break
            kind, length = struct.unpack_from(f"{self._order}II", data, at)
            if length % 4 or not 12 <= length <= _PACKET_MAX:
                self.damage = f"a block of {length} bytes: the capture is damaged"
                break
            if at + length > len(data):
                break
            if kind == _ENHANCED and length >= 32:
                captured = struct.unpack_from(f"{self._order}I", data, at + 20)[0]
                packets.append((at + 28, at + min(28 + captured, length - 4)))
            at += length
        return packets, at


def _splitter(stream: ByteStream, data: bytes) -> tuple[_Splitter, int]:
    if data.startswith(_PCAPNG):
        return _Pcapng(), 0
    order = _PCAP_ORDER.get(data[:4])
    if order is None or len(data) < _PCAP_HEADER:
        raise FeedError(f"{stream.path}: no pcap or pcapng capture; fetch it again")
    return _Pcap(order), _PCAP_HEADER


def _two(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]
