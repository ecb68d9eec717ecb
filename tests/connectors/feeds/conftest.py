"""Files to feed, made small, and the way to read back what a feed appended."""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.feeds.pace import Clock
from connectors.log import Log, Record, open_log
from connectors.records import decode_rows, decode_watermarks, is_rows, is_watermarks
from connectors.topics import create_topics
from schemas.registry import TOPICS

PARTITIONS = 2
NOON_2026_NS = 1_767_268_800_000_000_000


@dataclass
class TestClock:
    """A clock that stands still, but for naps."""

    __test__ = False
    now_ns: int = NOON_2026_NS

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)

    @property
    def clock(self) -> Clock:
        return Clock(now_ns=lambda: self.now_ns, sleep=self.sleep)


@pytest.fixture
def wall() -> TestClock:
    return TestClock()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as opened:
        create_topics(opened, PARTITIONS)
        yield opened


@pytest.fixture
def taq_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a TAQ zip: symbol, date, kind, lines."""

    def write(symbol: str, date: str, kind: str, lines: list[str]) -> Path:
        path = tmp_path / "taq" / symbol / f"{date}_{kind}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            member = f"{date}_{symbol}_{kind.title()}_Tick.csv"
            archive.writestr(member, "".join(f"{line}\n" for line in lines))
        return path

    return write


def records(log: Log, topic: str) -> list[Record]:
    found: list[Record] = []
    for partition in range(log.topics()[topic].partitions):
        at = log.start(topic, partition)
        while at < log.end(topic, partition):
            chunk = log.read(topic, partition, at)
            found += chunk.records
            at = chunk.next_offset
    return found


@pytest.fixture
def rows_of() -> Callable[[Log, str], list[dict[str, Any]]]:
    """All rows of a topic, in order within each partition; times are ns since 1970 UTC."""

    def read(log: Log, topic: str) -> list[dict[str, Any]]:
        return [
            row
            for record in records(log, topic)
            if is_rows(record)
            for row in pl.DataFrame(decode_rows(TOPICS[topic], record))
            .with_columns(pl.selectors.datetime().to_physical())
            .rows(named=True)
        ]

    return read


@pytest.fixture
def watermarks_of() -> Callable[[Log, str], list[tuple[str, int]]]:
    """All watermark rows of a topic: key and time in ns."""

    def read(log: Log, topic: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for record in records(log, topic):
            if is_watermarks(record):
                batch = decode_watermarks(record)
                times = batch.column("ts_event").cast("int64").to_pylist()
                found += zip(batch.column("key").to_pylist(), times, strict=True)
        return found

    return read


@pytest.fixture
def trace_of() -> Callable[[Log, str], list[tuple[str, int, str]]]:
    """Rows and watermark rows of a topic in log order: key, time in ns, and which of the two."""

    def read(log: Log, topic: str) -> list[tuple[str, int, str]]:
        found: list[tuple[str, int, str]] = []
        for record in records(log, topic):
            if is_watermarks(record):
                batch, name, kind = decode_watermarks(record), "key", "watermark"
            else:
                batch, name, kind = decode_rows(TOPICS[topic], record), TOPICS[topic].key, "row"
            keys = batch.column(name).to_pylist()
            times = batch.column("ts_event").cast("int64").to_pylist()
            found += [(key, time, kind) for key, time in zip(keys, times, strict=True)]
        return found

    return read
