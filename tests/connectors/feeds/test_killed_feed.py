"""A feed that was killed: it goes on where it stopped, and an earlier copy that still runs is fenced."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.feeds import ledger as ledger_module
from connectors.feeds.ledger import read_ledger
from connectors.feeds.options import FeedOptions, FeedProgress
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.feeds.source import FeedError
from connectors.log import FencedError, Log, open_log
from connectors.topics import create_topics
from schemas.registry import market_topics
from tests.connectors.feeds.taq_lines import (
    MONDAY_NS,
    NOW_NS,
    OPTIONS,
    Rows,
    Write,
    quotes,
    times_of,
    trades,
)


class KilledError(RuntimeError):
    """Stands for a kill between two commits."""


def killed_after(commits: int) -> Callable[[FeedProgress], None]:
    seen = []

    def on_progress(progress: FeedProgress) -> None:
        seen.append(progress)
        if len(seen) > commits:
            raise KilledError

    return on_progress


def fed_or_refused(log: Log, paths: list[Path], options: FeedOptions, commits: int) -> bool:
    """Feed, killed after some commits; whether it came to its end, now or before."""
    try:
        feed(log, paths, options, killed_after(commits))
    except FeedError as error:
        assert "fed already" in str(error)  # noqa: PT017 - one of two good ends
    return True


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    kills=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    speed=st.sampled_from([50.0, None]),
    summed=st.sampled_from([1, 4, 1024]),
)
def test_a_killed_feed_goes_on_where_it_stopped_and_gives_the_same_log(
    kills: list[int],
    speed: float | None,
    summed: int,
    taq_file: Write,
    tmp_path_factory: pytest.TempPathFactory,
    trace_of: Callable[[Log, str], list[tuple[str, int, str]]],
    rows_of: Rows,
) -> None:
    lines = trades(range(0, 900, 5))
    lines[5] = "bad"
    lines[-2] = "bad too"
    paths = [
        taq_file("aig", "20131007", "trade", lines),
        taq_file("aig", "20131007", "quote", quotes(range(0, 900, 12))),
        taq_file("bac", "20131007", "trade", trades([2, 2, 2])),
        taq_file("ibm", "20131007", "trade", trades(range(1, 900, 9))),
    ]

    def clocked() -> FeedOptions:
        now = [NOW_NS]

        def sleep(seconds: float) -> None:
            now[0] += int(seconds * 1e9)

        return FeedOptions(
            clock=Clock(now_ns=lambda: now[0], sleep=sleep), ts_recv="event", speed=speed
        )

    folder = tmp_path_factory.mktemp("logs")
    with (
        pytest.MonkeyPatch.context() as patch,
        open_log(f"sqlite:///{folder / 'whole.db'}") as whole,
        open_log(f"sqlite:///{folder / 'killed.db'}") as killed,
    ):
        patch.setattr(ledger_module, "_RECORDS_MAX", summed)
        for log in (whole, killed):
            create_topics(log, 1)
        feed(whole, paths, clocked())
        finished = False
        for commits in kills:
            with suppress(KilledError):
                # A feed that was killed behind its last commit is fed already.
                finished = finished or fed_or_refused(killed, paths, clocked(), commits)
        if not finished:
            fed_or_refused(killed, paths, clocked(), 1_000_000)
        [run] = read_ledger(killed).runs.values()
        assert [file.status for file in run.files.values()] == ["done"] * 4
        assert sorted(file.lines for file in run.files.values()) == [3, 75, 100, len(lines)]
        for topic in market_topics():
            for symbol in ("AIG", "BAC", "IBM"):
                traces = [
                    [row for row in trace_of(log, topic.name) if row[0] == symbol]
                    for log in (whole, killed)
                ]
                assert traces[0] == traces[1]
        letters = [
            sorted(row["source_offset"] for row in rows_of(log, "dead_letter"))
            for log in (whole, killed)
        ]
        assert letters == [[6, len(lines) - 1]] * 2


def test_a_file_of_a_killed_feed_goes_on_in_another_call_that_has_it(
    taq_file: Write, log: Log, rows_of: Rows
) -> None:
    aig = taq_file("aig", "20131007", "trade", trades(range(0, 2_000, 10)))
    ibm = taq_file("ibm", "20131007", "trade", trades(range(0, 2_000, 10)))
    now = [NOW_NS]

    def sleep(seconds: float) -> None:
        now[0] += int(seconds * 1e9)

    paced = FeedOptions(clock=Clock(now_ns=lambda: now[0], sleep=sleep), speed=10.0)
    with pytest.raises(KilledError):
        feed(log, [aig], paced, killed_after(5))
    before = len(rows_of(log, "trades"))
    assert 0 < before < 200
    summary = feed(log, [aig, ibm], OPTIONS)
    assert "goes on behind line" in summary.files[0].note
    assert times_of(rows_of(log, "trades"), "AIG") == [
        MONDAY_NS + ms * 1_000_000 for ms in range(0, 2_000, 10)
    ]


def test_an_earlier_copy_that_still_runs_is_fenced(taq_file: Write, log: Log) -> None:
    path = taq_file("aig", "20131007", "trade", trades([1]))

    def start_again(_: FeedProgress) -> None:
        feed(log, [path], OPTIONS)

    with pytest.raises(FencedError):
        feed(log, [path], OPTIONS, start_again)
