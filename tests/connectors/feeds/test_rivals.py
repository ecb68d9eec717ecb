"""Feeds that have a file in common: each of its rows is in the log once, whoever runs when."""

import gzip
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from connectors.feeds.ledger import read_ledger
from connectors.feeds.mapping import parse_mapping
from connectors.feeds.options import FeedOptions, FeedProgress
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.feeds.source import FeedError
from connectors.log import FencedError, Log, open_log
from connectors.topics import create_topics

NOW_NS = 1_767_268_800_000_000_000
OPTIONS = FeedOptions(
    clock=Clock(now_ns=lambda: NOW_NS, sleep=lambda _: None), ts_recv="event", batch_rows=64
)
LINES = [f"{34_200_000 + ms},1750000,100,P,1,0" for ms in range(0, 3_000, 10)]
Write = Callable[..., Path]
Rows = Callable[..., Any]


class KilledError(Exception):
    """The kill that a test asked for."""


def paced() -> FeedOptions:
    """Small commits: a hundred milliseconds of event time each."""
    now = [NOW_NS]

    def sleep(seconds: float) -> None:
        now[0] += int(max(seconds, 0.1) * 1e9)

    return FeedOptions(clock=Clock(now_ns=lambda: now[0], sleep=sleep), ts_recv="event", speed=1.0)


def killed_after(commits: int) -> Callable[[FeedProgress], None]:
    left = [commits]

    def count(_: FeedProgress) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KilledError

    return count


def times(rows_of: Rows, log: Log, symbol: str) -> list[int]:
    return [row["ts_event"] for row in rows_of(log, "trades") if row["symbol"] == symbol]


@pytest.fixture
def files(taq_file: Write) -> list[Path]:
    return [taq_file(name, "20131007", "trade", LINES) for name in ("aig", "bac", "ibm")]


def assert_each_row_once(rows_of: Rows, log: Log, symbols: str) -> None:
    for symbol in symbols.split():
        found = times(rows_of, log, symbol)
        assert len(found) == len(LINES)
        assert found == sorted(set(found))


@pytest.mark.parametrize("at", [0, 1, 5, 20])
def test_a_call_with_a_file_of_a_running_one_takes_it_over(
    files: list[Path], log: Log, rows_of: Rows, at: int
) -> None:
    """Other file sets have other writers: the claim in the ledger is what fences."""
    seen = [0]

    def start_other(_: FeedProgress) -> None:
        seen[0] += 1
        if seen[0] == at + 1:
            feed(log, files[1:], OPTIONS)

    with pytest.raises(FencedError):
        feed(log, files[:2], paced(), start_other)
    assert_each_row_once(rows_of, log, "BAC IBM")
    # What the fenced call had beside goes on where it stopped, and what was taken stays taken.
    feed(log, files[:2], OPTIONS)
    assert_each_row_once(rows_of, log, "AIG BAC IBM")
    with pytest.raises(FeedError, match="fed already"):
        feed(log, files[:2], OPTIONS)


def test_a_file_taken_from_a_killed_call_and_killed_again_is_fed_once(
    files: list[Path], log: Log, rows_of: Rows
) -> None:
    for paths in (files[:2], files[1:], files[:2], [files[1]]):
        with pytest.raises(KilledError):
            feed(log, paths, paced(), killed_after(4))
    feed(log, files[1:], OPTIONS)
    feed(log, files[:2], OPTIONS)
    assert_each_row_once(rows_of, log, "AIG BAC IBM")


def test_a_call_that_completes_a_file_of_a_killed_one_is_not_repeated_by_that(
    files: list[Path], log: Log, rows_of: Rows
) -> None:
    with pytest.raises(KilledError):
        feed(log, files[:2], paced(), killed_after(5))
    feed(log, [files[0]], OPTIONS)
    feed(log, files[:2], OPTIONS)
    assert_each_row_once(rows_of, log, "AIG BAC")


def test_a_claim_is_forgotten_when_its_run_has_ended(
    files: list[Path], log: Log, rows_of: Rows
) -> None:
    feed(log, files[:1], OPTIONS)
    ledger = read_ledger(log)
    (run,) = ledger.runs.values()
    assert ledger.rivals("other:0", run.claims) == []


def test_a_file_that_changed_since_the_kill_is_an_error_that_says_so(
    files: list[Path], taq_file: Write, log: Log, rows_of: Rows
) -> None:
    with pytest.raises(KilledError):
        feed(log, files[:1], paced(), killed_after(5))
    before = len(rows_of(log, "trades"))
    whole = files[0].read_bytes()
    taq_file("aig", "20131007", "trade", [*LINES[:-1], LINES[-1].replace("175", "176")])
    with pytest.raises(
        FeedError, match=r"has changed: .* had fed \d+ lines .*put the old file back"
    ):
        feed(log, files[:1], OPTIONS)
    assert len(rows_of(log, "trades")) == before
    files[0].write_bytes(whole)
    feed(log, files[:1], OPTIONS)
    assert_each_row_once(rows_of, log, "AIG")


_MAPPING = "topic=trades,symbol=s,venue=const:X,ts_event=t:ms,price=p,size=q"
_PROGRAM = """
import sys
from pathlib import Path
from connectors.feeds.mapping import parse_mapping
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.log import open_log
options = FeedOptions(ts_recv="event", speed=2.0, mapping=parse_mapping(sys.argv[2]))
with open_log(sys.argv[1]) as log:
    feed(log, [Path(sys.argv[3])], options)
"""


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_packed_file_whose_feed_was_killed_goes_on_where_it_stopped(
    tmp_path: Path, rows_of: Rows, packing: str
) -> None:
    """A real kill of a real process, in the middle of a packed file."""
    first_ms = 1_381_152_600_000
    lines = ["s,t,p,q", *(f"AIG,{first_ms + at * 10},17.5,100" for at in range(len(LINES)))]
    text = "\n".join([*lines, ""]).encode()
    packed = tmp_path / f"day.csv.{packing}"
    packed.write_bytes(
        gzip.compress(text) if packing == "gz" else zstandard.ZstdCompressor().compress(text)
    )
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with open_log(url) as log:
        create_topics(log, 1)
        command = [sys.executable, "-c", _PROGRAM, url, _MAPPING, str(packed)]
        with subprocess.Popen(command) as process:
            deadline = time.monotonic() + 30
            while log.end("trades", 0) < 3:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
        fed = len(rows_of(log, "trades"))
        assert 0 < fed < len(LINES)
        summary = feed(log, [packed], replace(OPTIONS, mapping=parse_mapping(_MAPPING)))
        assert "goes on behind line" in summary.files[0].note
        assert_each_row_once(rows_of, log, "AIG")
