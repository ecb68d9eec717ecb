"""Files of several parts: each with its own progress, all of them from one reading, refused as a whole."""

import gzip
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from connectors.feeds.archive import ByteStream, probe
from connectors.feeds.binance import BinanceCapture
from connectors.feeds.ledger import read_ledger
from connectors.feeds.merge import MergeInput, combine, merge
from connectors.feeds.options import FeedOptions, FeedProgress
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.feeds.source import BrokenFileError, FeedBatch, FeedError
from connectors.log import Log, open_log
from connectors.topics import create_topics
from schemas.field import TIMESTAMP
from schemas.market import TRADES
from tests.connectors.feeds.parts_read import read_parts

NOW_NS = 1_767_268_800_000_000_000
T = 1_723_161_255_000
OPTIONS = FeedOptions(clock=Clock(now_ns=lambda: NOW_NS, sleep=lambda _: None), ts_recv="event")
Rows = Callable[[Log, str], list[dict[str, Any]]]


class KilledError(RuntimeError):
    """The feed was killed."""


def message(at: int) -> dict[str, Any]:
    """In turn a trade, a quote, depth and something else; the snapshot comes 30th."""
    kind, ms = at % 4, T + 10 * at
    if at == 30:
        return {"lastUpdateId": 30, "E": ms, "T": ms, "bids": [["90", "1"]], "asks": [["99", "1"]]}
    if kind == 0:
        return {
            "e": "trade",
            "E": ms,
            "T": ms,
            "s": "BTCUSDT",
            "t": at,
            "p": "95" if at % 20 else "0",
            "q": "1",
            "X": "MARKET",
            "m": True,
        }
    if kind == 1:
        book = {"b": "94", "B": "1", "a": "96", "A": str(at)}
        return {"e": "bookTicker", "u": at, "s": "BTCUSDT", "T": ms, "E": ms, **book}
    if kind == 2:
        levels = [[str(80 + step), str(at)] for step in range(at % 7)]
        numbers = {"U": max(0, at - 3), "u": at, "pu": max(0, at - 4)}
        if at == 34:
            numbers["pu"] = 26
        return {
            "e": "depthUpdate",
            "E": ms,
            "T": ms,
            "s": "BTCUSDT",
            **numbers,
            "b": levels,
            "a": [],
        }
    return {"e": "kline", "s": "BTCUSDT"}


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    lines = []
    for at in range(400):
        text = json.dumps(message(at), separators=(",", ":")) if at != 51 else "{broken"
        lines.append(f"{(T + 10 * at) * 1_000_000} {text}\n")
    path = tmp_path / "binance" / "capture.jsonl"
    path.parent.mkdir()
    path.write_text("".join(lines))
    return path


def test_the_summary_names_each_part_and_what_it_left_out(capture: Path, log: Log) -> None:
    summary = feed(log, [capture], OPTIONS)
    by_part = {file.part: file for file in summary.files}
    assert set(by_part) == {"trades", "quotes", "book_events", "feed_events"}
    assert {file.topic for file in summary.files} == set(by_part)
    assert {file.name for file in summary.files} == {"binance/capture.jsonl"}
    assert by_part["trades"].rejected == 20
    assert by_part["trades"].rows == 80
    assert by_part["quotes"].rows == 100
    # The broken line and what is left out are told once, by one of the parts.
    assert summary.rejected == 21
    told = [file.skipped for file in summary.files if file.skipped]
    assert told == [
        {"event of another kind": 99, "depth update held until a snapshot": 7},
    ]


def test_dead_letters_name_the_part(capture: Path, log: Log, rows_of: Rows) -> None:
    feed(log, [capture], OPTIONS)
    letters = {(row["source_topic"], row["source_offset"]) for row in rows_of(log, "dead_letter")}
    assert ("binance/capture.jsonl#trades", 1) in letters
    assert ("binance/capture.jsonl#book_events", 52) in letters


@pytest.mark.parametrize("commits", [1, 2, 3, 7, 20])
def test_a_killed_feed_goes_on_in_every_part(
    capture: Path, tmp_path: Path, rows_of: Rows, commits: int
) -> None:
    """At a pace, so that commits cut the parts at different messages."""
    results = []
    for name in ("whole", "killed"):
        now = [NOW_NS]

        def sleep(seconds: float, now: list[int] = now) -> None:
            now[0] += int(seconds * 1e9)

        clock = Clock(now_ns=lambda now=now: now[0], sleep=sleep)
        paced = replace(OPTIONS, clock=clock, speed=20.0)
        seen = 0

        def kill(_: FeedProgress) -> None:
            nonlocal seen
            seen += 1
            if seen == commits:
                raise KilledError

        with open_log(f"sqlite:///{tmp_path / name}.db") as log:
            create_topics(log, 1)
            if name == "killed":
                with pytest.raises(KilledError):
                    feed(log, [capture], paced, kill)
                seen = 0
                # It may come to its end before it is killed again.
                with suppress(KilledError):
                    feed(log, [capture], paced, kill)
            with suppress(FeedError):
                feed(log, [capture], OPTIONS)
            [run] = read_ledger(log).runs.values()
            states = {
                state.part: (state.status, state.rows, state.rejected, state.skipped)
                for state in run.files.values()
            }
            topics = ("trades", "quotes", "book_events", "feed_events")
            rows = {topic: rows_of(log, topic) for topic in topics}
            letters = sorted(row["source_offset"] for row in rows_of(log, "dead_letter"))
        results.append((states, rows, letters))
    assert results[0] == results[1]


def test_a_file_that_was_fed_is_refused_as_a_whole(capture: Path, log: Log, rows_of: Rows) -> None:
    feed(log, [capture], OPTIONS)
    before = len(rows_of(log, "quotes"))
    with pytest.raises(FeedError, match=r"fed already: .*capture\.jsonl#trades"):
        feed(log, [capture], OPTIONS)
    assert len(rows_of(log, "quotes")) == before


def test_every_place_to_go_on_from_gives_the_rest(capture: Path) -> None:
    whole = read_parts(BinanceCapture(), capture, 1 << 11)
    for after in (0, 1, 29, 30, 31, 32, 33, 100, 399, 400):
        rest = read_parts(BinanceCapture(), capture, 1 << 11, after_line=after)
        for part, rows in whole.rows.items():
            behind = np.array(whole.lines[part], np.int64) > after
            assert rest.rows[part].equals(rows.filter(pl.Series(behind)))
        assert rest.faults == [fault for fault in whole.faults if fault.line > after]


def test_a_part_that_falls_far_behind_reads_the_same_rows(capture: Path) -> None:
    together = read_parts(BinanceCapture(), capture, 1 << 9)
    sources = BinanceCapture().open(probe(capture), 1 << 9)
    for source in reversed(sources):
        blocks = list(source.blocks())
        rows = pl.concat([pl.DataFrame(block.rows.batch) for block in blocks])
        refused = 20 if source.part == "trades" else 0
        assert len(rows) == len(together.rows[source.part]) + refused
        assert [block.last_line for block in blocks] == sorted({b.last_line for b in blocks})


def test_a_capture_that_breaks_off_gives_what_it_has(capture: Path, log: Log) -> None:
    packed = capture.with_suffix(".jsonl.gz")
    data = gzip.compress(capture.read_bytes())
    packed.write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenFileError, match="truncated"):
        feed(log, [packed], OPTIONS)
    [run] = read_ledger(log).runs.values()
    states = list(run.files.values())
    assert {state.status for state in states} == {"broken"}
    assert all(state.rows for state in states)


def test_rows_of_one_line_are_never_cut_apart() -> None:
    """Progress counts lines: a commit between two rows of one would lose or repeat one of them."""

    def batch(times: list[int], lines: list[int]) -> FeedBatch:
        ts = pl.Series(times, dtype=pl.Int64).to_arrow().view(TIMESTAMP)
        count = len(times)
        rows = TRADES.batch(
            {
                "symbol": ["A"] * count,
                "venue": ["X"] * count,
                "ts_event": ts,
                "ts_recv": ts,
                "price": [1.0] * count,
                "size": [1.0] * count,
                "updates_high_low": [True] * count,
                "updates_last": [True] * count,
                "updates_volume": [True] * count,
                "action": ["new"] * count,
            }
        )
        return FeedBatch(
            topic=TRADES, batch=rows, lines=np.array(lines, np.int64), last_line=lines[-1]
        )

    inputs = [
        MergeInput(first_ns=1, batches=lambda: iter([batch([1, 2, 5, 9], [1, 2, 2, 3])])),
        MergeInput(first_ns=1, batches=lambda: iter([batch([3], [1]), batch([4, 6], [2, 3])])),
    ]
    merged = list(merge(inputs))
    for parts in merged:
        lines = [part.rows.lines.tolist() for part in parts if part.file == 0]
        assert all(2 not in one or one.count(2) == 2 for one in lines)
    times = [time for parts in merged for _, _, times in combine(parts) for time in times.tolist()]
    assert times == sorted(times) == [1, 3, 4, 5, 5, 6, 9]


def test_a_member_of_a_zip_is_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.csv", "1\n")
        archive.writestr("two.csv", "2\n")
    seen = probe(path)
    assert seen.members == ("one.csv", "two.csv")
    assert [b"".join(ByteStream(path, member)) for member in seen.members] == [b"1\n", b"2\n"]
    with pytest.raises(FeedError, match=r"one file three\.csv is needed"):
        ByteStream(path, "three.csv")
