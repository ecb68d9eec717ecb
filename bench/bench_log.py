"""The embedded topic log: what is appended and read a second, and how soon another process sees it.

The disk's own speed (a plain file, written and read) is measured in the same run.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.report import Result
from connectors.log import Log, NewRecord, TopicConfig, open_log

ROOT = Path(__file__).resolve().parents[1]
RECORD_BYTES = 150_000
HEADERS = (("kind", b"rows"), ("schema", b"trades/1"), ("rows", b"5000"))
MB = 1e6

# Appends small records at a steady pace; the value is the moment before the append.
PACED = """
import sys, time
from connectors.log import NewRecord, open_log
with open_log(sys.argv[1]) as log:
    for number in range(int(sys.argv[2])):
        time.sleep(0.004 + 0.00005 * (number % 40))
        log.append([NewRecord("paced", 0, b"%d" % time.time_ns())])
"""
# Appends large records as fast as it can.
FLOOD = """
import sys
from connectors.log import NewRecord, open_log
with open_log(sys.argv[1]) as log:
    value = bytes(range(250)) * 600
    for number in range(int(sys.argv[2])):
        log.append([NewRecord("flood", int(sys.argv[3]), value)])
"""


def run(quick: bool) -> list[Result]:
    """All figures; ``quick`` takes about five seconds."""
    # In the checkout, not in the system's folder for temporary files: that may be in memory.
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        url = f"sqlite:///{folder}/log.db"
        with open_log(url) as log:
            for name in ("large", "small", "batched", "paced", "flood"):
                log.create_topic(TopicConfig(name=name, partitions=2))
            log.create_topic(TopicConfig(name="synced", partitions=1, synced=True))
            return [
                *_large(log, Path(folder), rounds=3 if quick else 5, count=400 if quick else 2000),
                *_small(log, count=500 if quick else 5000),
                *_batched(log, rounds=3),
                *_tail(log, count=200 if quick else 1000),
                _flood(log, count=500 if quick else 2000),
            ]


def _large(log: Log, folder: Path, *, rounds: int, count: int) -> list[Result]:
    """Records of 150 kB, ten a commit, beside a plain file of the same size."""
    value = os.urandom(RECORD_BYTES)
    commit = [NewRecord("large", number % 2, value, None, HEADERS) for number in range(10)]
    plain = folder / "plain"

    def append() -> None:
        for _ in range(count // 10):
            log.append(commit)

    def write() -> None:
        with plain.open("wb", buffering=0) as file:
            for _ in range(count):
                file.write(value)

    def read() -> None:
        _read_all(log, "large")

    def read_plain() -> None:
        with plain.open("rb", buffering=0) as file:
            while file.read(8 << 20):
                pass

    size = count * RECORD_BYTES / MB
    appended, written = _side_by_side(append, write, rounds)
    total = rounds * size
    back, back_plain = _side_by_side(read, read_plain, rounds)
    return [
        Result(
            name="log: append 150 kB records",
            value=size / appended,
            unit="MB/s",
            wanted=">= 97",
            baseline=size / written,
            baseline_name="plain file",
        ),
        Result(
            name="log: read 150 kB records",
            value=total / back,
            unit="MB/s",
            wanted=">= 800",
            baseline=size / back_plain,
            baseline_name="plain file",
        ),
    ]


def _small(log: Log, *, count: int) -> list[Result]:
    """One record of 100 bytes an append, and the same with a sync of the disk."""
    plain = _latencies(log, "small", count)
    synced = _latencies(log, "synced", count // 10)
    return [
        Result(name="log: append one small record, p50", value=plain[0], unit="ms", wanted="< 0.3"),
        Result(name="log: append one small record, p99", value=plain[1], unit="ms"),
        Result(name="log: append one small record, synced, p50", value=synced[0], unit="ms"),
    ]


def _batched(log: Log, *, rounds: int) -> list[Result]:
    """Small records, 5,000 a commit."""
    records = [NewRecord("batched", 0, bytes(100), None, HEADERS)] * 5000

    def append() -> None:
        for _ in range(4):
            log.append(records)

    appended = median(_seconds(append) for _ in range(rounds))
    back = median(_seconds(lambda: _read_all(log, "batched")) for _ in range(rounds))
    return [
        Result(name="log: append small records in batches", value=20_000 / appended, unit="/s"),
        Result(name="log: read small records", value=rounds * 20_000 / back, unit="/s"),
    ]


def _tail(log: Log, *, count: int) -> list[Result]:
    """From the append in one process to the record read in another."""
    process = _process(PACED, log.url, count)
    at = 0
    latencies: list[float] = []
    while len(latencies) < count:
        log.wait({("paced", 0): at, ("paced", 1): 0}, 10)
        chunk = log.read("paced", 0, at)
        now = time.time_ns()
        at = chunk.next_offset
        latencies += [(now - int(record.value or b"0")) / 1e6 for record in chunk.records]
    process.wait()
    latencies.sort()
    begun, spent = time.perf_counter(), time.process_time()
    log.wait({("paced", 0): at}, 1)
    cpu = 100 * (time.process_time() - spent) / (time.perf_counter() - begun)
    return [
        Result(
            name="log: append to read in another process, p50",
            value=latencies[count // 2],
            unit="ms",
        ),
        Result(
            name="log: append to read in another process, p99",
            value=latencies[count * 99 // 100],
            unit="ms",
            wanted="< 5",
        ),
        Result(name="log: CPU of an idle wait", value=cpu, unit="% of a core", wanted="< 3"),
    ]


def _flood(log: Log, *, count: int) -> Result:
    """Three processes append 150 kB records at once; each must get its turn."""
    begun = time.perf_counter()
    processes = [_process(FLOOD, log.url, count // 3, number % 2) for number in range(3)]
    ended = []
    for process in processes:
        process.wait()
        ended.append(time.perf_counter() - begun)
    return Result(
        name="log: append 150 kB records, three processes",
        value=3 * (count // 3) * RECORD_BYTES / MB / max(ended),
        unit="MB/s",
        note=f"first ended after {min(ended):.1f} s, last after {max(ended):.1f} s, start-up included",
    )


def _latencies(log: Log, topic: str, count: int) -> tuple[float, float]:
    """p50 and p99 of one append, ms."""
    record = NewRecord(topic, 0, bytes(100), None, HEADERS)
    taken = sorted(_seconds(lambda: log.append([record])) * 1e3 for _ in range(count))
    return taken[count // 2], taken[count * 99 // 100]


def _read_all(log: Log, topic: str) -> None:
    for partition in (0, 1):
        at, end = 0, log.end(topic, partition)
        while at < end:
            at = log.read(topic, partition, at).next_offset


def _side_by_side(
    ours: Callable[[], None], theirs: Callable[[], None], rounds: int
) -> tuple[float, float]:
    """Median seconds of each, in turns, so that a slow moment of the machine meets both."""
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    return median(each[0] for each in times), median(each[1] for each in times)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _process(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT)
