"""IEX captures: every message against a decoding by hand (dpkt, struct), and the transport's numbers."""

import gzip
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dpkt
import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.iex import Iex
from connectors.feeds.source import BrokenFileError
from tests.connectors.feeds.parts_read import Read, read_parts

TS = 1_493_132_854_000_000_000
STATES = {"H": "halted", "O": "quoting", "P": "quoting", "T": "trading"}
# As the data's README has them, but for the one message within which the DEEP capture ends.
COUNTS = {
    "DEEP10.pcap.gz": {"T": 83_343, "B": 73, "8": 12_949, "5": 14_630, "H": 93_638},
    "TOPS16.pcapng.gz": {"Q": 27_217, "T": 6_390, "B": 3, "H": 7_803},
}
Packet = tuple[int, int, list[bytes]]


def payloads(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        for _, frame in dpkt.pcap.Reader(file):
            yield dpkt.ethernet.Ethernet(frame).data.data.data


def messages(path: Path) -> Iterator[bytes]:
    """All whole messages, one by one."""
    for payload in payloads(path):
        [count] = struct.unpack_from("<H", payload, 14)
        at = 40
        for _ in range(count):
            size = int.from_bytes(payload[at : at + 2], "little")
            message = payload[at + 2 : at + 2 + size]
            if len(message) < size:
                return
            yield message
            at += 2 + size


def decoded(message: bytes) -> tuple[str, tuple[Any, ...]]:
    """The topic and the row of a message; "" for one that is not read."""
    kind, flags = chr(message[0]), message[1]
    ts, symbol = struct.unpack_from("<q8s", message, 2) if len(message) >= 18 else (0, b"")
    keys = (symbol.decode().strip(), ts)
    if kind == "Q":
        bid_size, bid, ask, ask_size = struct.unpack_from("<IqqI", message, 18)
        sides = (bid / 1e4 or None, float(bid_size), ask / 1e4 or None, float(ask_size))
        words = ("halted" if flags & 0x80 else "", "extended" if flags & 0x40 else "")
        return "quotes", (*keys, *sides, ";".join(filter(None, words)) or None)
    if kind in "TB":
        size, price, number = struct.unpack_from("<Iqq", message, 18)
        names = ((0x80, "F"), (0x40, "T"), (0x20, "I"), (0x10, "8"), (0x08, "X"))
        conditions = "".join(name for bit, name in names if flags & bit)
        regular = not flags & 0x60
        ids = (str(number), "new", None) if kind == "T" else (None, "cancel", str(number))
        return "trades", (*keys, price / 1e4, float(size), conditions or None, regular, *ids)
    if kind in "85":
        size, price = struct.unpack_from("<Iq", message, 18)
        side = "buy" if kind == "8" else "sell"
        return "book_events", (*keys, "level", side, price / 1e4, float(size), None, flags == 1)
    if kind == "H":
        return "book_events", (*keys, "halt", None, None, None, STATES[chr(flags)], True)
    return "", ()


COLUMNS = {
    "quotes": ["bid", "bid_size", "ask", "ask_size", "condition"],
    "trades": [
        *("price", "size", "conditions", "updates_last"),
        *("trade_id", "action", "ref_trade_id"),
    ],
    "book_events": ["action", "side", "price", "size", "state", "is_last"],
}


def rows(read: Read, part: str) -> pl.DataFrame:
    return read.rows[part].select("symbol", "ts_event", *COLUMNS[part])


@pytest.mark.shared
@pytest.mark.parametrize("name", COUNTS)
def test_every_message_of_a_real_capture_is_read(shared: Path, name: str) -> None:
    path = shared / "ticks/iex" / name
    read = read_parts(Iex(), path, 1 << 20)
    want: dict[str, list[tuple[Any, ...]]] = {"quotes": [], "trades": [], "book_events": []}
    kinds: Counter[str] = Counter()
    for message in messages(path):
        topic, row = decoded(message)
        kinds[chr(message[0])] += 1
        if topic:
            want[topic].append(row)
    for part, wanted in want.items():
        if wanted:
            got = rows(read, part)
            if part == "book_events":
                got = got.filter(pl.col("action") != "clear")
            assert got.equals(pl.DataFrame(wanted, schema=got.schema, orient="row"))
    assert {kind: kinds[kind] for kind in COUNTS[name]} == COUNTS[name]
    assert set(read.rows["trades"]["venue"]) == {"IEX"}
    skipped = {why: len(lines) for why, lines in read.skipped.items() if why != "heartbeat"}
    assert sum(skipped.values()) == sum(kinds.values()) - sum(len(one) for one in want.values())
    assert skipped["system event"] == kinds["S"]


@pytest.mark.shared
def test_a_stream_that_begins_anew_clears_its_books(shared: Path) -> None:
    """The test feed restarts eleven times: its numbers go back to 1, its messages are others."""
    path = shared / "ticks/iex/DEEP10.pcap.gz"
    read = read_parts(Iex(), path, 1 << 20)
    events = read.rows["feed_events"]
    assert events["kind"].to_list() == ["resynchronised"] * 11
    assert events["found"].to_list() == [1] * 11
    assert events["expected"].to_list()[0] == 28_141
    # The capture was stopped within a packet; what was whole is there.
    [fault] = read.faults
    assert fault.reason == "the capture ends within this packet"
    assert len(fault.text) == 26
    book: dict[str, int] = {}
    for symbol, action in read.rows["book_events"].select("symbol", "action").rows():
        if action == "level":
            book[symbol] = book.get(symbol, 0) + 1
        elif action == "clear":
            assert book.pop(symbol) > 0


@pytest.fixture
def capture(tmp_path: Path) -> Callable[..., Path]:
    """Writes a capture of packets, each of first sequence number, send time and messages."""

    def write(packets: list[Packet], *, ng: bool = False, vlan: bool = False) -> Path:
        path = tmp_path / ("capture.pcapng" if ng else "capture.pcap")
        with path.open("wb") as file:
            writer = dpkt.pcapng.Writer(file) if ng else dpkt.pcap.Writer(file)
            for first, sent_ns, found in packets:
                writer.writepkt(frame(first, sent_ns, found, vlan=vlan), ts=1.0)
        return path

    return write


def frame(first: int, sent_ns: int, found: list[bytes], *, vlan: bool = False) -> bytes:
    body = b"".join(struct.pack("<H", len(message)) + message for message in found)
    header = struct.pack(
        "<BBHIIHHqqq", 1, 0, 0x8004, 1, 77, len(body), len(found), 0, first, sent_ns
    )
    udp = dpkt.udp.UDP(sport=1, dport=2, data=header + body)
    udp.ulen = len(udp)
    ip = dpkt.ip.IP(src=b"\1\1\1\1", dst=b"\2\2\2\2", p=17, data=udp)
    ip.len = len(ip)
    ethernet = bytes(dpkt.ethernet.Ethernet(data=ip))
    return ethernet[:12] + b"\x81\0\0\7" + ethernet[12:] if vlan else ethernet


def level(price: float, size: int = 100, *, flags: int = 1, side: str = "8") -> bytes:
    return struct.pack("<sBq8sIq", side.encode(), flags, TS, b"ZIEXT   ", size, round(price * 1e4))


def quote(flags: int) -> bytes:
    return struct.pack("<sBq8sIqqI", b"Q", flags, TS, b"ZIEXT   ", 100, 10_000, 10_100, 200)


def test_missing_numbers_are_noticed_and_repeated_messages_left_out(
    capture: Callable[..., Path],
) -> None:
    path = capture(
        [
            (1, 10, [level(1.0), level(2.0)]),
            (3, 20, []),
            (3, 30, [level(3.0)]),
            (3, 30, [level(3.0)]),
            (6, 40, [level(6.0)]),
            (6, 40, [level(6.0), level(7.0)]),
            (9, 50, []),
        ]
    )
    read = read_parts(Iex(), path)
    assert read.rows["book_events"]["price"].to_list() == [1.0, 2.0, 3.0, 6.0, 7.0]
    assert read.lines["book_events"] == [1, 2, 4, 6, 8]
    assert read.skipped == {"heartbeat": [3, 9], "message that came before": [5, 7]}
    events = read.rows["feed_events"]
    assert events.select("ts_event", "kind", "stream", "expected", "found").rows() == [
        (40, "gap", "DEEP 1.0 channel 1", 4, 6),
        (50, "gap", "DEEP 1.0 channel 1", 8, 9),
    ]


def test_a_restart_clears_the_books_that_had_levels(capture: Callable[..., Path]) -> None:
    packets: list[Packet] = [
        (1, 10, [level(1.0), level(2.0)]),
        (1, 20, []),
        (1, 30, [level(3.0)]),
        (1, 40, [level(4.0)]),
    ]
    for block_bytes in (1, 1 << 16):
        read = read_parts(Iex(), capture(packets), block_bytes)
        book = read.rows["book_events"]
        assert book.select("action", "price").rows() == [
            ("level", 1.0),
            ("level", 2.0),
            ("clear", None),
            ("level", 3.0),
            ("clear", None),
            ("level", 4.0),
        ]
        assert read.rows["feed_events"]["kind"].to_list() == ["resynchronised"] * 2


def test_an_event_ends_where_its_flag_says(capture: Callable[..., Path]) -> None:
    path = capture([(1, 10, [level(1.0, flags=0), level(2.0, 0, side="5")])])
    got = read_parts(Iex(), path).rows["book_events"]
    assert got.select("side", "size", "is_last").rows() == [
        ("buy", 100.0, False),
        ("sell", 0.0, True),
    ]


def test_quote_flags_are_words_by_their_own_meaning(capture: Callable[..., Path]) -> None:
    """As two hexadecimal digits they would be read as another vendor's bits."""
    path = capture([(1, 10, [quote(flags) for flags in (0x00, 0x80, 0x40, 0xC0, 0x3F)])])
    got = read_parts(Iex(), path).rows["quotes"]
    assert got["condition"].to_list() == [None, "halted", "extended", "halted;extended", None]


@pytest.mark.parametrize("how", [{}, {"ng": True}, {"vlan": True}])
def test_containers_and_tags_give_the_same(
    capture: Callable[..., Path], how: dict[str, bool]
) -> None:
    path = capture([(1, 10, [level(1.0)]), (2, 20, [level(2.0)])], **how)
    read = read_parts(Iex(), path)
    assert read.rows["book_events"]["price"].to_list() == [1.0, 2.0]
    assert read.faults == []


def test_a_short_message_costs_that_message_only(capture: Callable[..., Path]) -> None:
    path = capture([(1, 10, [level(1.0), b"8" + bytes(20), level(2.0), b"Z", b"H?" + bytes(20)])])
    read = read_parts(Iex(), path)
    assert read.rows["book_events"]["price"].to_list() == [1.0, 2.0]
    assert [(fault.line, fault.reason) for fault in read.faults] == [
        (2, "message 8 of 21 bytes is too short"),
        (5, "trading status: H, O, P or T was needed"),
    ]
    assert read.faults[0].text == b"8" + bytes(20)
    assert read.skipped == {"message of another type": [4]}


def test_packets_of_other_protocols_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    other = frame(1, 10, [])
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for packet in (other[:30], other[:44] + b"\x99\x99" + other[46:], other[:60], other):
            writer.writepkt(packet, ts=1.0)
    read = read_parts(Iex(), path)
    assert read.skipped == {
        "packet that is not whole, or no UDP over IPv4": [1, 3],
        "packet of another protocol": [2],
        "heartbeat": [4],
    }


def test_damaged_captures_say_behind_which_message(
    capture: Callable[..., Path], tmp_path: Path
) -> None:
    data = capture([(1, 10, [level(1.0)])]).read_bytes()
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(data + struct.pack("<IIII", 1, 1, 1 << 30, 1 << 30) + bytes(100))
    [source] = Iex().open(probe(bad), 1 << 16)
    with pytest.raises(BrokenFileError, match=r"packet of 1073741824 bytes.*behind message 1"):
        list(source.blocks())


def test_every_message_and_packet_is_told_of_however_odd(
    tmp_path: Path, capture: Callable[..., Path]
) -> None:
    odd = [b"", b"\0zero", b"zz", b"yy", level(10.0)]
    path = capture([(1, TS, odd)])
    short = frame(6, TS + 1, [level(11.0)])
    long_header = bytearray(short)
    long_header[14] = 0x4F
    with path.open("ab") as file:
        writer = dpkt.pcap.Writer(file)
        # Its own header is of a file that begins: only the packets are wanted.
        file.seek(-24, 2)
        file.truncate()
        for packet in (frame(-3, TS + 2, [level(12.0)]), bytes(short[:5]), bytes(long_header[:44])):
            writer.writepkt(packet, ts=1.0)
    read = read_parts(Iex(), path)
    assert read.lines["book_events"] == [5]
    assert read.skipped == {
        "message of another type": [1, 2, 3, 4],
        "packet that is not whole, or no UDP over IPv4": [7, 8],
    }
    assert [(fault.line, fault.reason) for fault in read.faults] == [
        (6, "the packet's sequence number is below 0")
    ]
