"""The whole of `feed`: rows, watermark rows, dead letters, truncated files, pace and progress."""

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from connectors.feeds.ledger import read_ledger
from connectors.feeds.mapping import parse_mapping
from connectors.feeds.options import FeedOptions, FeedProgress
from connectors.feeds.program import feed
from connectors.feeds.source import BrokenFileError, FeedError
from connectors.log import Log, open_log
from connectors.records import RECORD_BYTES
from connectors.topics import create_topics
from schemas.registry import market_topics
from tests.connectors.feeds.taq_lines import (
    DAY_NS,
    EVENT,
    MONDAY_NS,
    NOW_NS,
    OPTIONS,
    Rows,
    Write,
    quotes,
    times_of,
    trades,
)


@pytest.mark.shared
def test_three_days_of_real_trades_arrive_whole_and_in_order(
    shared: Path, log: Log, rows_of: Rows
) -> None:
    folder = shared / "ticks/us_equity_taq/ibm"
    paths = sorted(folder.glob("*_trade.zip"))
    summary = feed(log, paths, EVENT)
    names = ["ms", "price", "size", "exchange", "condition", "suspicious"]
    members = [zipfile.ZipFile(path).read(f"{path.name[:8]}_ibm_Trade_Tick.csv") for path in paths]
    want = pl.concat(
        pl.read_csv(member, has_header=False, new_columns=names, columns=[0, 1, 2])
        for member in members
    )
    got = pl.DataFrame(rows_of(log, "trades"))
    assert summary.rows == {"trades": len(want)}
    assert summary.rejected == 0
    assert (got["price"] * 10_000).round().cast(pl.Int64).equals(want["price"])
    assert got["size"].cast(pl.Int64).equals(want["size"])
    assert got["ts_event"].is_sorted()
    assert got["ts_recv"].equals(got["ts_event"])


def test_rows_of_megabytes_are_cut_into_records_that_a_log_may_hold(
    log: Log, tmp_path: Path, rows_of: Rows
) -> None:
    """Kafka takes 64 MiB at most: a feed of such rows could never go on."""
    path = tmp_path / "trades.parquet"
    rng = np.random.default_rng(1)
    names = [rng.bytes(1 << 20).hex() for _ in range(40)]
    columns = {"time": range(40), "sym": ["A"] * 40, "px": [1] * 40, "qty": [1] * 40, "id": names}
    pl.DataFrame(columns).write_parquet(path)
    told = "topic=trades,symbol=sym,ts_event=time:s,price=px,size=qty,venue=const:X,trade_id=id"
    feed(log, [path], replace(EVENT, mapping=parse_mapping(told)))
    assert [row["trade_id"] for row in rows_of(log, "trades")] == names
    sizes = [
        len(record.value or b"")
        for partition in range(log.topics()["trades"].partitions)
        for record in log.read("trades", partition, 0, max_bytes=1 << 30).records
    ]
    assert max(sizes) < RECORD_BYTES + (4 << 20)


def test_ts_recv_is_the_wall_time_unless_the_event_time_is_asked_for(
    taq_file: Write, tmp_path: Path, rows_of: Rows
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([1, 2]))
    for name, options in (("wall", OPTIONS), ("event", EVENT)):
        with open_log(f"sqlite:///{tmp_path / name}.db") as log:
            create_topics(log, 1)
            feed(log, [path], options)
            rows = rows_of(log, "trades")
        times = [row["ts_recv"] for row in rows]
        want = (
            [NOW_NS, NOW_NS] if name == "wall" else [MONDAY_NS + 1_000_000, MONDAY_NS + 2_000_000]
        )
        assert times == want


def test_watermarks_end_each_keys_sessions_in_every_raw_topic(
    taq_file: Write, log: Log, watermarks_of: Callable[[Log, str], list[tuple[str, int]]]
) -> None:
    paths = [
        taq_file("aig", "20131004", "trade", trades([100, 200])),
        taq_file("aig", "20131007", "trade", trades([100])),
        taq_file("ibm", "20131007", "quote", quotes([100])),
        taq_file("bac", "20131004", "trade", trades([100])),
        taq_file("aig", "20131008", "quote", quotes([100])),
    ]
    feed(log, paths, OPTIONS)
    # Friday's session lasts to Monday's midnight; bac had rows on Friday only.
    want = {
        ("AIG", MONDAY_NS),
        ("BAC", MONDAY_NS),
        ("AIG", MONDAY_NS + DAY_NS),
        ("IBM", MONDAY_NS + DAY_NS),
        ("AIG", MONDAY_NS + 2 * DAY_NS),
    }
    for topic in market_topics():
        found = watermarks_of(log, topic.name)
        assert len(found) == len(set(found))
        assert set(found) == want


def test_a_watermark_stands_between_the_rows_of_two_sessions(
    taq_file: Write, log: Log, trace_of: Callable[[Log, str], list[tuple[str, int, str]]]
) -> None:
    paths = [
        taq_file("aig", "20131007", "trade", trades([100, 200])),
        taq_file("aig", "20131008", "trade", trades([100])),
    ]
    feed(log, paths, OPTIONS)
    assert trace_of(log, "trades") == [
        ("AIG", MONDAY_NS + 100_000_000, "row"),
        ("AIG", MONDAY_NS + 200_000_000, "row"),
        ("AIG", MONDAY_NS + DAY_NS, "watermark"),
        ("AIG", MONDAY_NS + DAY_NS + 100_000_000, "row"),
        ("AIG", MONDAY_NS + 2 * DAY_NS, "watermark"),
    ]


def test_symbols_fed_in_any_order_give_each_the_same_rows_and_watermarks(
    taq_file: Write, tmp_path: Path, trace_of: Callable[[Log, str], list[tuple[str, int, str]]]
) -> None:
    files = {
        symbol: [
            taq_file(symbol, "20131007", "trade", trades([5 * at, 5 * at + 3])),
            taq_file(symbol, "20131008", "trade", trades([at])),
            taq_file(symbol, "20131008", "quote", quotes([at, 9])),
        ]
        for at, symbol in enumerate(("aig", "bac", "ibm"))
    }
    calls = {
        "forth": [files["aig"], files["bac"], files["ibm"]],
        "back": [files["ibm"], files["bac"], files["aig"]],
        "at once": [[path for paths in files.values() for path in paths]],
    }
    traces = []
    for name, feeds in calls.items():
        with open_log(f"sqlite:///{tmp_path / name}.db") as log:
            create_topics(log, 1)
            for paths in feeds:
                feed(log, paths, OPTIONS)
            traces.append(
                {
                    (topic.name, symbol): [
                        (time, kind)
                        for key, time, kind in trace_of(log, topic.name)
                        if key == symbol
                    ]
                    for topic in market_topics()
                    for symbol in ("AIG", "BAC", "IBM")
                }
            )
    assert traces[0] == traces[1] == traces[2]
    assert len(traces[0]["trades", "AIG"]) == 5


def test_bad_lines_become_dead_letters_with_their_line_numbers(
    taq_file: Write, log: Log, rows_of: Rows
) -> None:
    lines = trades([100, 200, 300, 400, 500])
    lines[1] = "200,text,100,P,1,0"
    lines[3] = "400,491800,100,P,1"
    lines += ["600,0,100,P,1,0", "86400000,491800,100,P,1,0", "700,491800,100,P,xyz,0"]
    path = taq_file("aig", "20131007", "trade", lines)
    summary = feed(log, [path], OPTIONS)
    assert times_of(rows_of(log, "trades"), "AIG") == [
        MONDAY_NS + ms * 1_000_000 for ms in (100, 300, 500)
    ]
    letters = sorted(rows_of(log, "dead_letter"), key=lambda row: row["source_offset"])
    assert [row["source_offset"] for row in letters] == [2, 4, 6, 7, 8]
    assert [row["payload"].decode() for row in letters] == [lines[at] for at in (1, 3, 5, 6, 7)]
    assert {row["source_topic"] for row in letters} == {"aig/20131007_trade.zip"}
    assert [row["ts_event"] for row in letters] == [NOW_NS] * 5
    words = [
        "column price",
        "6 columns were needed, the line has 5",
        "price",
        "column ms",
        "hexadecimal",
    ]
    for row, word in zip(letters, words, strict=True):
        assert word in row["reason"]
    [file] = summary.files
    assert (file.lines, file.rows, file.rejected, summary.rejected) == (8, 3, 5, 5)


def test_a_row_whose_time_goes_backwards_is_fed_where_it_stands(
    taq_file: Write, log: Log, rows_of: Rows
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([100, 300, 200, 400]))
    feed(log, [path], OPTIONS)
    rows = rows_of(log, "trades")
    assert times_of(rows, "AIG") == [MONDAY_NS + ms * 1_000_000 for ms in (100, 300, 200, 400)]


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_truncated_file_keeps_its_good_lines_and_the_error_says_up_to_which(
    taq_file: Write, tmp_path: Path, log: Log, rows_of: Rows, kind: str
) -> None:
    times = [at * 7 + at * at % 5 for at in range(20_000)]
    if kind == "zip":
        path = taq_file("aig", "20131007", "trade", trades(times))
    else:
        path = tmp_path / "aig" / "20131007_trade.csv.gz"
        path.parent.mkdir()
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in trades(times)).encode()))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    other = taq_file("ibm", "20131007", "trade", trades([1, 2, 3]))
    with pytest.raises(
        BrokenFileError, match=r"20131007_trade.*truncated behind line \d+"
    ) as caught:
        feed(log, [path, other], OPTIONS)
    rows = rows_of(log, "trades")
    got = times_of(rows, "AIG")
    assert 5_000 < len(got) < 20_000
    assert got == [MONDAY_NS + ms * 1_000_000 for ms in times[: len(got)]]
    assert f"{len(got)} rows up to line {len(got)} are in the log" in str(caught.value)
    assert len(times_of(rows, "IBM")) == 3
    # The rest of a whole copy can be fed behind them: the session was left open.
    whole = taq_file("aig2", "20131007", "trade", trades(times))
    whole = whole.rename(path.with_name("20131007_trade.zip"))
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("20131007_aig_Trade_Tick.csv", "\n".join(trades(times)) + "\n")
    feed(log, [whole], replace(OPTIONS, start_ns=got[-1] + 1))
    assert times_of(rows_of(log, "trades"), "AIG") == [MONDAY_NS + ms * 1_000_000 for ms in times]


def test_from_and_to_choose_rows_and_the_rest_can_be_fed_later(
    taq_file: Write, log: Log, rows_of: Rows
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([100, 200, 300, 400]))
    middle = MONDAY_NS + 250_000_000
    first = feed(log, [path], replace(OPTIONS, end_ns=middle))
    assert first.rows == {"trades": 2}
    with pytest.raises(FeedError, match="fed already"):
        feed(log, [path], replace(OPTIONS, start_ns=middle - 1))
    second = feed(log, [path], replace(OPTIONS, start_ns=middle))
    assert second.rows == {"trades": 2}
    assert times_of(rows_of(log, "trades"), "AIG") == [
        MONDAY_NS + ms * 1_000_000 for ms in (100, 200, 300, 400)
    ]


def test_pace_is_a_multiple_of_real_time(taq_file: Write, log: Log, wall: Any) -> None:
    path = taq_file("aig", "20131007", "trade", trades([0, 10_000, 20_000, 60_000]))
    seen: list[tuple[float, int]] = []
    start_ns = wall.now_ns
    feed(
        log,
        [path],
        FeedOptions(clock=wall.clock, speed=10.0),
        lambda progress: seen.append(((wall.now_ns - start_ns) / 1e9, progress.rows)),
    )
    at = dict(reversed([(rows, seconds) for seconds, rows in seen]))
    assert at[1] == pytest.approx(0.0, abs=0.01)
    assert at[2] == pytest.approx(1.0, abs=0.01)
    assert at[3] == pytest.approx(2.0, abs=0.01)
    assert at[4] == pytest.approx(6.0, abs=0.01)


def test_progress_grows_to_the_whole(taq_file: Write, log: Log) -> None:
    path = taq_file("aig", "20131007", "trade", trades(range(1000)))
    seen: list[FeedProgress] = []
    feed(log, [path], OPTIONS, seen.append)
    assert [progress.rows for progress in seen] == sorted(progress.rows for progress in seen)
    assert seen[-1].rows == 1000
    assert seen[-1].bytes_done == seen[-1].bytes_total == path.stat().st_size


def test_a_live_feed_says_so_and_leaves_its_session_open(
    taq_file: Write, log: Log, watermarks_of: Callable[[Log, str], list[tuple[str, int]]]
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([1]))
    feed(log, [path], replace(OPTIONS, live=True))
    headers = [
        record.header("live")
        for partition in range(2)
        for record in log.read("trades", partition, 0).records
    ]
    assert headers == [b"1"]
    assert watermarks_of(log, "trades") == []


def test_reading_the_ledger_gives_what_each_key_has(taq_file: Write, log: Log) -> None:
    feed(log, [taq_file("aig", "20131007", "trade", trades([100, 200]))], OPTIONS)
    ledger = read_ledger(log)
    assert ledger.last_ns == {"trades": {"AIG": MONDAY_NS + 200_000_000}}
    assert ledger.watermarks_ns == {"AIG": MONDAY_NS + DAY_NS}
    [run] = ledger.runs.values()
    assert run.status == "done"


def test_records_hold_no_more_rows_than_asked_for(taq_file: Write, log: Log) -> None:
    feed(
        log,
        [taq_file("aig", "20131007", "trade", trades(range(1000)))],
        replace(OPTIONS, batch_rows=300),
    )
    counts = [
        int(record.header("rows") or 0)
        for partition in range(2)
        for record in log.read("trades", partition, 0).records
        if record.header("kind") == b"rows"
    ]
    assert counts == [250] * 4
