"""What is counted while retention cuts the log is counted again; what is wrong without a cut is said at once."""

import pytest

from connectors.log import Log, LogError, TruncatedError
from connectors.log_cuts import LogCuts
from connectors.topics import create_topics
from tests.connectors.landing_rows import append_trades


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 30)
    return sqlite_log


class Counting:
    """Counts what is wrong; so often the log is cut meanwhile, and there is something."""

    def __init__(self, log: Log, cuts: int, error: Exception | None = None) -> None:
        self.made = 0
        self._log, self._cuts, self._error = log, cuts, error

    def __call__(self) -> int:
        self.made += 1
        if self.made > self._cuts:
            return 0
        self._log.trim("trades", 0, self.made)
        if self._error is not None:
            raise self._error
        return 1


def is_right(wrong: int) -> bool:
    return wrong == 0


@pytest.mark.parametrize("error", [None, TruncatedError("older ones were trimmed")])
def test_what_is_wrong_while_the_log_is_cut_is_counted_again(
    log: Log, error: Exception | None
) -> None:
    counting = Counting(log, 2, error)
    assert LogCuts(log).outlasted("audit", counting, is_right) == 0
    assert counting.made == 3


def test_what_is_right_although_the_log_was_cut_is_counted_once(log: Log) -> None:
    counting = Counting(log, 1)
    assert LogCuts(log).outlasted("audit", counting, lambda wrong: wrong == 1) == 1
    assert counting.made == 1


def test_what_is_wrong_without_a_cut_is_said_at_once(log: Log) -> None:
    log.trim("trades", 0, 2)
    counted = []
    assert LogCuts(log).outlasted("audit", lambda: counted.append(1) or 1, is_right) == 1
    assert len(counted) == 1


def test_an_offset_that_is_gone_without_a_cut_is_an_error(log: Log) -> None:
    with pytest.raises(TruncatedError, match="offset 99"):
        LogCuts(log).outlasted("audit", lambda: log.read("trades", 0, 99), bool)


def test_who_is_cut_into_every_time_is_told_what_to_do(log: Log) -> None:
    with pytest.raises(LogError, match=r"replay: retention has cut .* 5 times; stop .* the lake"):
        LogCuts(log).outlasted("replay", Counting(log, 9), is_right)
