"""The ledger: reading from its newest snapshot on gives what reading all of it gives."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.control import control_value
from connectors.feeds import ledger as ledger_module
from connectors.feeds.ledger import (
    FileState,
    Ledger,
    LedgerWriter,
    RunState,
    file_key,
    read_ledger,
)
from connectors.feeds.options import FeedOptions
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.feeds.reading import Window
from connectors.feeds.source import FeedError
from connectors.log import Log

CLOCK = Clock(now_ns=lambda: 1_767_268_800_000_000_000, sleep=lambda _: None)


def from_scratch(log: Log) -> Ledger:
    """All records, read one by one from the first."""
    whole = Ledger()
    for record in log.read("_feeds", 0, 0, max_bytes=1 << 30).records:
        whole.fold(control_value(record))
    return whole


def test_a_ledger_of_snapshots_says_what_the_whole_one_says(
    taq_file: Callable[..., Path], log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_RECORDS_MAX", 5)
    options = FeedOptions(clock=CLOCK)
    paths = [
        taq_file(f"s{at}", "20131007", "trade", [f"{at},100,100,P,1,0", f"{at + 9},100,100,P,1,0"])
        for at in range(9)
    ]
    for path in paths:
        feed(log, [path], options)
    read, whole = read_ledger(log), from_scratch(log)
    assert read.start > 0
    assert read.unsummed < log.end("_feeds", 0)
    assert (read.last_ns, read.watermarks_ns) == (whole.last_ns, whole.watermarks_ns)
    assert {name: (run.status, run.files) for name, run in read.runs.items()} == {
        name: (run.status, run.files) for name, run in whole.runs.items()
    }
    assert len(read.runs) == 9
    for path in paths:
        with pytest.raises(FeedError, match="fed already"):
            feed(log, [path], options)


def test_a_snapshot_does_not_hide_what_another_run_wrote_beside_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_RECORDS_MAX", 3)
    ours = LedgerWriter(log, read_ledger(log), "ours:0")
    theirs = LedgerWriter(log, read_ledger(log), "theirs:0")
    state = FileState(name="a", topic="trades")
    for at in range(1, 20):
        # Both make their record before either appends it: each misses the other's.
        records = [
            ours.record(
                "begun",
                files={"x": replace(state, lines=at)},
                keys={"trades": {"A": at}},
                watermarks={},
            ),
            theirs.record(
                "done" if at == 19 else "begun",
                files={"y": replace(state, lines=100 - at)},
                keys={"quotes": {"B": at * 2}},
                watermarks={"B": at},
            ),
        ]
        log.append(records if at % 2 else records[::-1])
        read, whole = read_ledger(log), from_scratch(log)
        assert read.last_ns == whole.last_ns == {"trades": {"A": at}, "quotes": {"B": at * 2}}
        assert read.watermarks_ns == {"B": at}
        assert read.runs == whole.runs
        assert read.runs["ours:0"].files["x"].lines == at
        # A file's lines never go back.
        assert read.runs["theirs:0"].files["y"].lines == 99
    assert read.start > 10
    assert read.runs["theirs:0"].status == "done"


def test_an_empty_log_has_an_empty_ledger(log: Log) -> None:
    assert read_ledger(log) == Ledger()


def test_a_file_that_was_fed_in_other_parts_was_fed() -> None:
    """A later version may cut a file into other parts: its rows must not come twice all the same."""
    ledger = Ledger()
    fed = RunState(run="r:0", status="done")
    for part in ("a", "b"):
        key = file_key("x", part)
        fed.files[key] = FileState(name="f", topic="trades", part=part, status="done")
    ledger.runs["r:0"] = fed
    found = {part: ledger.fed("x", part, Window()) for part in ("", "a", "b", "c")}
    parts = {part: state and state[1].part for part, state in found.items()}
    assert parts == {"": "a", "a": "a", "b": "b", "c": "a"}
    assert ledger.fed("y", "a", Window()) is None
