"""A second copy started by mistake: one of the two ends and says why, and nothing is doubled."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from connectors.landings import CLICKHOUSE, landed_positions
from connectors.log import open_log
from flows.catalog import catalog
from flows.engines.progress import last_progress
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import running_broker
from tests.conftest import skip_or_fail
from tests.end_to_end.chaos import checks
from tests.end_to_end.chaos.world import ForeignProducer, Program, Ticks, World

FLOWS = ("bars", "trade_signs")
# A minute on a crowded machine, a few seconds on an idle one.
_WAIT_S = 90.0
pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        url = ""
        if request.param == "kafka":
            try:
                broker = stack.enter_context(running_broker())
            except BrokerError as error:
                skip_or_fail("kafka", str(error))
            url = f"kafka://{broker.address}"
        made = World(home=tmp_path / "home", log_url=url)
        stack.callback(made.kill)
        yield made


def wait_until(what: str, holds: object) -> None:
    assert callable(holds)
    begun_s = time.monotonic()
    while not holds():
        assert time.monotonic() - begun_s < _WAIT_S, what
        time.sleep(0.1)


def one_ended(world: World, first: Program, second: Program) -> Program:
    """The one of two copies that has ended; it says that another was started, the other goes on."""
    for program in (first, second):
        assert program.process is not None
    wait_until(
        f"neither copy of {first.arguments[0]} has ended",
        lambda: first.process.poll() is not None or second.process.poll() is not None,
    )
    gone, there = (first, second) if first.process.poll() is not None else (second, first)
    assert gone.process.returncode == 1, world.last_words(gone)
    assert re.search("another copy|newer copy", world.last_words(gone)), world.last_words(gone)
    assert there.process.poll() is None, world.last_words(there)
    return there


def test_of_two_copies_one_ends_and_nothing_is_doubled(world: World, shared: Path) -> None:
    ticks = Ticks.of(shared, long=False)
    # The whole session within four minutes: rows flow as long as copies meet.
    verbs = {
        "store": ["store"],
        "feed": [*ticks.arguments, "--speed", "100"],
        "run": ["run", *FLOWS],
        "land": ["land"],
    }
    copies = {}
    for name, arguments in verbs.items():
        copies[name] = Program(name=name, arguments=arguments)
        world.start(copies[name])
        if name == "store":
            wait_until("no store", world.store_answers)
    with open_log(world.log_url) as log:
        wait_until(
            "the flow computes nothing",
            lambda: (
                "_progress.bars" in log.topics()
                and any(
                    (last_progress(log, catalog()["bars"], at) or (0,))[0] > 3 for at in range(3)
                )
            ),
        )
        wait_until("nothing lands", lambda: landed_positions(log)[CLICKHOUSE].get("bars"))
    for name in ("run", "land", "feed"):
        second = Program(name=f"second {name}", arguments=verbs[name])
        world.start(second)
        one_ended(world, copies[name], second)
    # A feed has no end of its own when it is told to stop: it goes on where it was, as below.
    assert not any(status for name, status in world.stop().items() if "feed" not in name)
    for arguments in (ticks.arguments, ["run", *FLOWS, "--until-end"], ["land", "--until-end"]):
        done = world.run(arguments)
        assert done.returncode == 0 or "fed already" in done.stderr, done.stderr
    undisturbed = World(home=world.home / "undisturbed")
    assert undisturbed.run(ticks.arguments).returncode == 0
    nobody = ForeignProducer(world.log_url, 0)
    checks.check_raw(world, ticks, nobody, checks.digests_of_files(undisturbed))
    checks.check_audit(world)
    checks.check_replay(world)
