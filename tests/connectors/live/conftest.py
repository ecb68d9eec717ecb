"""A log, a client that is impatient, and a live feed that runs beside the test until it has what it waits for."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.live.adapter import Adapter
from connectors.live.items import ClientOptions
from connectors.live.program import LiveOptions, run_live
from connectors.live.sink import LiveCounts, SinkOptions
from connectors.log import Log, Record, open_log
from connectors.records import decode_rows, is_rows
from connectors.topics import create_topics
from schemas.registry import TOPICS

IMPATIENT = ClientOptions(
    flush_s=0.002, backoff_first_s=0.02, backoff_most_s=0.1, steady_s=30, open_s=2, request_s=2
)
PATIENCE_S = 15.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as opened:
        create_topics(opened, 2)
        yield opened


def records(log: Log, topic: str) -> list[Record]:
    found: list[Record] = []
    for partition in range(log.topics()[topic].partitions):
        at = log.start(topic, partition)
        while at < log.end(topic, partition):
            chunk = log.read(topic, partition, at)
            found += chunk.records
            at = chunk.next_offset
    return found


def rows(log: Log, topic: str) -> list[dict[str, Any]]:
    """All rows of a topic, in order within each partition; times are ns since 1970 UTC."""
    return [
        row
        for record in records(log, topic)
        if is_rows(record)
        for row in pl.DataFrame(decode_rows(TOPICS[topic], record))
        .with_columns(pl.selectors.datetime().to_physical())
        .rows(named=True)
    ]


def events(log: Log, *kinds: str) -> list[dict[str, Any]]:
    """The feed events of some kinds (all if none is named), in order."""
    found = sorted(rows(log, "feed_events"), key=lambda row: row["ts_event"])
    return [row for row in found if not kinds or row["kind"] in kinds]


@dataclass
class Running:
    """A live feed in a thread."""

    seen: list[str] = field(default_factory=list)
    counts: LiveCounts | None = None
    error: BaseException | None = None
    thread: threading.Thread | None = None

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; an error of the feed is raised here."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.thread is not None
            if not self.thread.is_alive():
                if self.error is not None:
                    raise self.error
                raise AssertionError("the feed has ended")
            assert time.monotonic() < end, f"in vain; feed events: {self.seen}"
            time.sleep(0.01)


@contextmanager
def feeding(
    log: Log,
    adapter: Adapter,
    client: ClientOptions = IMPATIENT,
    sink: SinkOptions | None = None,
    capture: Path | None = None,
) -> Iterator[Running]:
    """Feed until the block's end."""
    stop = threading.Event()
    running = Running()

    def run() -> None:
        options = LiveOptions(
            sink=sink or SinkOptions(calendar="24/7"), client=client, capture=capture
        )
        try:
            running.counts = run_live(
                log,
                adapter,
                options,
                stop,
                lambda noticed: running.seen.extend(one.kind for one in noticed),
            )
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            running.error = error

    running.thread = threading.Thread(target=run)
    running.thread.start()
    try:
        yield running
    finally:
        stop.set()
        running.thread.join(PATIENCE_S)
        assert not running.thread.is_alive()
    if running.error is not None:
        raise running.error
