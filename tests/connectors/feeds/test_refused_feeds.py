"""What `feed` refuses before anything is in the log, and how it is fed all the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from connectors.feeds.program import feed
from connectors.feeds.source import FeedError
from connectors.log import Log
from tests.connectors.feeds.taq_lines import (
    OPTIONS,
    Rows,
    Write,
    quotes,
    trades,
)


def test_an_empty_or_unknown_file_stops_the_feed_before_anything_is_appended(
    taq_file: Write, tmp_path: Path, log: Log, rows_of: Rows
) -> None:
    good = taq_file("aig", "20131007", "trade", trades([1]))
    for name, content in (("20131008_trade.zip", b""), ("strange.bin", b"\x00\x01\n")):
        bad = tmp_path / name
        bad.write_bytes(content)
        with pytest.raises(FeedError, match=name):
            feed(log, [good, bad], OPTIONS)
    assert rows_of(log, "trades") == []
    assert log.end("_feeds", 0) == 0


def test_a_file_fed_already_is_refused_whatever_its_name_unless_again_is_said(
    taq_file: Write, tmp_path: Path, log: Log, rows_of: Rows
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([1, 2]))
    feed(log, [path], OPTIONS)
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    other = taq_file("ibm", "20131007", "trade", trades([1]))
    for paths in ([path], [copy], [other, copy]):
        with pytest.raises(FeedError, match=r"fed already: .*20131007_trade\.zip.*--again"):
            feed(log, paths, OPTIONS)
    assert len(rows_of(log, "trades")) == 2
    feed(log, [path], replace(OPTIONS, again=True))
    assert len(rows_of(log, "trades")) == 4
    with pytest.raises(FeedError, match="fed already"):
        feed(log, [path], OPTIONS)


def test_two_files_of_the_same_bytes_in_one_call_are_refused(
    taq_file: Write, tmp_path: Path, log: Log
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([1, 2]))
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with pytest.raises(FeedError, match="same bytes"):
        feed(log, [path, copy], OPTIONS)


def test_an_older_day_is_refused_before_anything_is_appended_unless_late_is_ok(
    taq_file: Write, log: Log, rows_of: Rows
) -> None:
    tuesday = taq_file("aig", "20131008", "trade", trades([1]))
    monday = taq_file("aig", "20131007", "trade", trades([1]))
    other = taq_file("ibm", "20131007", "trade", trades([1]))
    feed(log, [tuesday], OPTIONS)
    records = log.end("_feeds", 0)
    with pytest.raises(
        FeedError, match=r"older than what the log has: .*20131007_trade.*AIG in trades"
    ):
        feed(log, [other, monday], OPTIONS)
    assert log.end("_feeds", 0) == records
    feed(log, [other], OPTIONS)
    feed(log, [monday], replace(OPTIONS, late_ok=True))
    assert len(rows_of(log, "trades")) == 3


def test_the_quotes_of_a_day_whose_trades_were_fed_alone_are_older(
    taq_file: Write, log: Log
) -> None:
    feed(log, [taq_file("aig", "20131007", "trade", trades([1]))], OPTIONS)
    with pytest.raises(FeedError, match="the files of one day together"):
        feed(log, [taq_file("aig", "20131007", "quote", quotes([1]))], OPTIONS)


@pytest.mark.parametrize("word", ["conditions", "ts_recv"])
def test_a_wrong_option_is_an_error_that_says_what_is_known(
    taq_file: Write, log: Log, word: str
) -> None:
    path = taq_file("aig", "20131007", "trade", trades([1]))
    with pytest.raises((FeedError, ValueError), match=word):
        feed(log, [path], replace(OPTIONS, **{word: "odd"}))
    assert log.end("_feeds", 0) == 0
