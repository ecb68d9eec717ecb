"""Reading captures into validated batches: all topics of a file, in processor time, from packed bytes on."""

import gzip
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import dpkt
import orjson

from bench.report import Result
from connectors.feeds.archive import probe
from connectors.feeds.binance import BinanceCapture
from connectors.feeds.bitstamp import BitstampLog
from connectors.feeds.bitstamp_csv import BitstampOrders
from connectors.feeds.iex import Iex
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Format

_TICKS = Path(__file__).resolve().parents[2] / "shared" / "data" / "ticks"
_BLOCK_BYTES = 1 << 20
_WANTED = "200 k rows/s"
_REAL = "real file"
_MADE = "generated file: the shared data are absent"


def run(quick: bool) -> list[Result]:
    """Rows a second of each capture format; the notes say how many messages that is."""
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if not _TICKS.is_dir():
            made = (_binance(folder / "capture.jsonl.gz"), _deep(folder / "deep.pcap.gz"))
            return [
                _result("Binance capture", BinanceCapture(), made[0], rounds, _json, _MADE),
                _result("IEX DEEP capture", Iex(), made[1], rounds, _packets, _MADE),
            ]
    binance, iex, bitstamp = (_TICKS / name for name in ("binance", "iex", "bitstamp_l3"))
    files: list[tuple[str, Format, Path, Callable[[Path], int]]] = [
        (f"Binance {path.name[:12]}", BinanceCapture(), path, _json)
        for path in sorted(binance.glob("*.jsonl.gz"))
    ]
    files += [
        ("Bitstamp log", BitstampLog(), bitstamp / "2015-05-01.raw.log.gz", _events),
        ("IEX DEEP capture", Iex(), iex / "DEEP10.pcap.gz", _packets),
        ("IEX TOPS capture", Iex(), iex / "TOPS16.pcapng.gz", _packets),
    ]
    results = [_result(*file[:3], rounds, file[3], _REAL) for file in files]
    orders = _read(BitstampOrders(), bitstamp / "orders.csv.gz", rounds)
    return [*results, Result(name="Bitstamp order file", value=orders[1], unit="rows/s")]


def _result(
    name: str,
    form: Format,
    path: Path,
    rounds: int,
    baseline: Callable[[Path], int],
    note: str,
) -> Result:
    messages_s, rows_s = _read(form, path, rounds)
    count = 0

    def decode() -> None:
        nonlocal count
        count = baseline(path)

    decode_s = median(_cpu_seconds(decode) for _ in range(rounds))
    return Result(
        name=f"{name} into batches",
        value=rows_s,
        unit="rows/s",
        wanted=_WANTED,
        # As many rows as the messages that are decoded in a second would give.
        baseline=count / decode_s * rows_s / messages_s,
        baseline_name="decoded only, by orjson or dpkt",
        note=f"{messages_s:,.0f} messages/s; {note}",
    )


def _read(form: Format, path: Path, rounds: int) -> tuple[float, float]:
    """Messages and rows a second: the median of several rounds."""
    found = []
    for _ in range(rounds):
        sources = form.open(probe(path), _BLOCK_BYTES)
        began = time.process_time()
        reading = [
            batches(source, after_line=0, window=Window(), latest_ns=time.time_ns())
            for source in sources
        ]
        rows, lines = 0, 0
        # Side by side, as the merge reads them.
        while reading:
            for one in list(reading):
                batch = next(one, None)
                if batch is None:
                    reading.remove(one)
                else:
                    rows += batch.batch.num_rows
                    lines = max(lines, batch.last_line)
        passed = time.process_time() - began
        found.append((lines / passed, rows / passed))
    return sorted(found)[rounds // 2]


def _cpu_seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _json(path: Path) -> int:
    with gzip.open(path) as file:
        return sum(1 for line in file if orjson.loads(line.split(b" ", 1)[1]) is not None)


def _events(path: Path) -> int:
    with gzip.open(path) as file:
        return sum(1 for line in file if orjson.loads(line.split(b" ", 2)[2]) is not None)


def _packets(path: Path) -> int:
    """Messages, found by dpkt in the packets and counted by the transport's header."""
    count = 0
    with gzip.open(path) as file:
        for _, frame in dpkt.pcap.Reader(file):
            payload = dpkt.ethernet.Ethernet(frame).data.data.data
            count += max(1, struct.unpack_from("<H", payload, 14)[0])
    return count


def _binance(path: Path) -> Path:
    ms = 1_723_161_255_000
    head = '"E":{0},"T":{0},"s":"BTCUSDT"'
    kinds = (
        '{{"e":"bookTicker","u":{1},'
        + head
        + ',"b":"61800.20","B":"2.5","a":"61800.30","A":"2.5"}}',
        '{{"e":"trade",' + head + ',"t":{1},"p":"61800.30","q":"0.006","X":"MARKET","m":false}}',
    )
    lines = [
        f"{(ms + at) * 1_000_000} {kinds[at % 4 == 0].format(ms + at, at + 1)}\n"
        for at in range(100_000)
    ]
    path.write_bytes(gzip.compress("".join(lines).encode(), 1))
    return path


def _deep(path: Path) -> Path:
    ts = 1_493_132_854_000_000_000
    with gzip.open(path, "wb", 1) as file:
        writer = dpkt.pcap.Writer(file)
        for at in range(20_000):
            body = b"".join(
                struct.pack("<HsBq8sIq", 30, b"8", 1, ts + at, b"ZIEXT   ", 100, 10_000 + step)
                for step in range(4)
            )
            header = struct.pack(
                "<BBHIIHHqqq", 1, 0, 0x8004, 1, 1, len(body), 4, 0, 4 * at + 1, ts + at
            )
            udp = dpkt.udp.UDP(sport=1, dport=2, data=header + body)
            udp.ulen = len(udp)
            packet = dpkt.ip.IP(src=b"\1\1\1\1", dst=b"\2\2\2\2", p=17, data=udp)
            packet.len = len(packet)
            writer.writepkt(bytes(dpkt.ethernet.Ethernet(data=packet)), ts=1.0)
    return path
