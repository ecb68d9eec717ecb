"""Other parameters while orders rest: they, what is held and the cash are there behind the change, and so in a replay."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from connectors.crash_points import CRASH_AT
from connectors.log import Log, open_log
from flows.engines.epochs import epochs
from flows.engines.local import run_until_end
from flows.engines.recount import recount
from flows.engines.shard import EpochError, ShardOptions
from flows.flow import Params
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from schemas.orders import ORDER_EVENTS
from serving.replay import Request, comparisons, run_replay
from tests.conftest import skip_or_fail
from tests.end_to_end.epochs.trading import (
    AFTER,
    BEFORE,
    CARRIED,
    KINDS,
    Day,
    cash,
    cash_by_hand,
    events_of,
    filled,
    held,
    rows_of,
)

ROOT = Path(__file__).resolve().parents[3]
NEW_EPOCH = ShardOptions(new_epoch=True)


@pytest.fixture(params=["sqlite", "kafka"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """An empty log of either kind."""
    with ExitStack() as running:
        url = f"sqlite:///{tmp_path / 'log.db'}"
        if request.param == "kafka":
            # Of the test's own: a broker knows the last commit of a shard for ever.
            try:
                url = f"kafka://{running.enter_context(start_broker())}"
            except BrokerError as error:
                skip_or_fail("kafka", str(error))
        yield running.enter_context(open_log(url))


def trades_before(log: Log) -> Day:
    """The day up to the change: an order filled in part, one at rest, an algorithm with a slice done."""
    day = Day(log)
    for happens in (day.begins, day.orders, day.touch):
        happens()
        run_until_end(log, KINDS, BEFORE)
    assert filled(log) == {"part": 100, "twap": 100}
    assert (held(log), cash(log)) == (200, cash_by_hand(log, "1000000"))
    return day


def market_goes_on(day: Day) -> None:
    """What rests is filled, the algorithm works on, and an account would spend more than it may now."""
    day.quote(49.99, 50.01, 1_000.0)
    day.quote(44.0, 44.5, 1_000.0)
    for quarter in (900, 1_800, 2_700):
        for day.seconds in (quarter, quarter + 5):
            day.quote(44.0, 44.5, 1_000.0)
    day.order("too-dear", "B", order_type="market", limit_price=None, quantity="230")
    # A retry in the same words, of an order that was told before the change.
    day.order("rests", quantity="200", limit_price="45")


def assert_all_is_carried(log: Log) -> None:
    """Filled to the last share and booked to the cent; and the new parameters hold."""
    assert filled(log) == {"part": 300, "rests": 200, "twap": 400}
    assert held(log) == 900
    assert cash(log) == cash_by_hand(log, "1000000") < Decimal(970_000)
    assert events_of(log, "part")[0] == "accepted"
    assert events_of(log, "part")[-1] == "filled"
    assert events_of(log, "rests") == ["accepted", "routed", "filled"], "the retry is one"
    assert events_of(log, "twap")[-1] == "filled"
    # 230 at 44.50 is less than the 10,400 that there are; with the new cushion of a tenth it is more.
    assert events_of(log, "too-dear") == ["rejected"]
    rows = [row["sequence"] for row in rows_of(log, ORDER_EVENTS) if row["account"] == "A"]
    assert rows == list(range(1, len(rows) + 1)), "numbered on, without a gap"


def assert_it_replays(log: Log) -> None:
    """The log gives all of it again; each row is accounted for; a run of it is the same."""
    found = comparisons(log, [kind.name for kind in KINDS])
    assert {one.flow for one in found} == {kind.name for kind in KINDS}
    assert [one for one in found if not one.identical or one.since] == []
    checks = [check for kind in KINDS for check in recount(log, kind)]
    assert checks
    assert [check for check in checks if not check.ok] == []
    names = [kind.name for kind in CARRIED]
    told = io.StringIO()
    request = Request(flows=names, into="again", compare="live")
    assert run_replay(log, names, as_json=True, out=told, request=request, workers=1) == 0
    compared = orjson.loads(told.getvalue())["compared"]
    assert {one["flow"] for one in compared} == set(names)
    assert all(one["rows_computed"] == one["rows_in_log"] > 0 for one in compared)


def test_orders_positions_and_cash_are_there_behind_a_change_of_parameters(log: Log) -> None:
    day = trades_before(log)
    with pytest.raises(EpochError, match="and the state that it has"):
        run_until_end(log, KINDS, AFTER)
    run_until_end(log, KINDS, AFTER, NEW_EPOCH)
    for kind in CARRIED:
        assert [one.carried for one in epochs(log, kind, 0)] == [False, True], kind.name
    market_goes_on(day)
    run_until_end(log, KINDS, AFTER)
    assert_all_is_carried(log)
    assert_it_replays(log)


def test_without_the_state_the_same_day_forgets_all_of_it(sqlite_log: Log) -> None:
    """That the day above would show it: what `--forget-state` says happens."""
    day = trades_before(sqlite_log)
    run_until_end(sqlite_log, KINDS, AFTER, ShardOptions(new_epoch=True, forget_state=True))
    market_goes_on(day)
    run_until_end(sqlite_log, KINDS, AFTER)
    assert filled(sqlite_log) == {"part": 100, "twap": 100}
    with pytest.raises(AssertionError):
        assert_all_is_carried(sqlite_log)
    assert all(one.identical for one in comparisons(sqlite_log, [kind.name for kind in KINDS]))


def started(log: Log, params: dict[str, Params], *words: str, crash_at: str = "") -> int:
    """The flows as a program of their own; how it ends."""
    given = {name: one.model_dump(mode="json") for name, one in params.items()}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TAPEFLOW_")},
        "TAPEFLOW_LOG": log.url,
        "TAPEFLOW_FLOWS": orjson.dumps(given).decode(),
        **({CRASH_AT: crash_at} if crash_at else {}),
    }
    names = [kind.name for kind in KINDS]
    command = [sys.executable, "-m", "serving.cli", "run", "--until-end", *words, *names]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("log", "crash_at"),
    [
        ("sqlite", "shard: outputs prepared:2"),
        ("sqlite", "shard: committed:1"),
        ("sqlite", "shard: committed:3"),
        ("sqlite", "snapshot: chunks appended:1"),
        ("sqlite", "snapshot: manifest appended:2"),
        ("kafka", "shard: committed:2"),
    ],
    indirect=["log"],
)
def test_a_kill_in_the_middle_of_the_change_forgets_nothing(log: Log, crash_at: str) -> None:
    day = trades_before(log)
    day.quote(49.99, 50.01, 20.0)
    # Before all flows have left a snapshot of it.
    assert started(log, BEFORE, crash_at="snapshot: chunks appended:2") == -signal.SIGKILL
    assert filled(log) == {"part": 120, "twap": 100}
    assert started(log, AFTER, "--new-epoch", crash_at=crash_at) == -signal.SIGKILL
    market_goes_on(day)
    assert started(log, AFTER, "--new-epoch") == 0
    for kind in CARRIED:
        assert [one.carried for one in epochs(log, kind, 0)] == [False, True], kind.name
    assert_all_is_carried(log)
    assert_it_replays(log)
