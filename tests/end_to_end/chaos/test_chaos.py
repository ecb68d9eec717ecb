"""The short version of `make chaos`: twenty kills over both logs; and that a broken recovery is caught."""

import os
import secrets
import sys
from pathlib import Path
from random import Random

import pytest

from infra.kafka.artifacts import BrokerError, java, libraries
from tests.conftest import skip_or_fail
from tests.end_to_end.chaos import checks
from tests.end_to_end.chaos.director import ChaosError
from tests.end_to_end.chaos.plan import FLOWS_ONE, FLOWS_TWO, Kill, make_plans, table
from tests.end_to_end.chaos.program import EMIT_AGAIN
from tests.end_to_end.chaos.rounds import POINTS_LEAST, Chaos, Undisturbed
from tests.end_to_end.chaos.world import FEW_FLOWS, Ticks

KILLS = 10
# It takes half a minute on two idle cores; a machine that does much else beside it needs more.
pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def seed() -> int:
    """A new one each run, told where it fails; TAPEFLOW_CHAOS_SEED gives it."""
    given = os.environ.get("TAPEFLOW_CHAOS_SEED")
    found = int(given) if given else secrets.randbelow(1 << 32)
    tell(f"chaos: seed {found}, again: TAPEFLOW_CHAOS_SEED={found}")
    return found


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    """What all runs here are compared with: it is the same for each seed and log."""
    return Undisturbed()


@pytest.fixture
def chaos(seed: int, shared: Path, tmp_path: Path, undisturbed: Undisturbed) -> Chaos:
    ticks = Ticks.of(shared, long=False)
    return Chaos(seed=seed, ticks=ticks, folder=tmp_path, tell=tell, undisturbed=undisturbed)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def need_kafka() -> None:
    try:
        java()
        libraries()
    except BrokerError as error:
        skip_or_fail("kafka", str(error))


def test_ten_kills_on_sqlite_leave_what_an_undisturbed_run_leaves(chaos: Chaos) -> None:
    chaos.run(("sqlite",), KILLS, short=True)
    tell(table(chaos.kills()))
    assert chaos.kills().total() >= KILLS


@pytest.mark.kafka
def test_ten_kills_on_kafka_leave_what_an_undisturbed_run_leaves(chaos: Chaos) -> None:
    need_kafka()
    chaos.run(("kafka",), KILLS, short=True)
    tell(table(chaos.kills()))
    assert chaos.kills().total() >= KILLS


def test_a_recovery_that_emits_recomputed_rows_again_is_caught(chaos: Chaos) -> None:
    plan = [
        Kill(target=target, point="shard: committed", nth=20) for target in (FLOWS_ONE, FLOWS_TWO)
    ]
    with pytest.raises(ChaosError, match="240 good and 0 bad messages came"):
        chaos.round("sqlite", plan, live=False, seed=1, broken=EMIT_AGAIN)
    assert chaos.kills()[FLOWS_TWO, "shard: committed"] == 1
    # Not only the count of messages: each of the other checks sees it by itself.
    (world,) = chaos.worlds
    with pytest.raises(ChaosError, match="not identical"):
        checks.check_replay(world)
    with pytest.raises(ChaosError, match="audit fails"):
        checks.check_audit(world)
    with pytest.raises(ChaosError, match="undisturbed and disturbed differ"):
        chaos.check_receipts(world, [*FEW_FLOWS[0], *FEW_FLOWS[1]])


def test_a_seed_says_which_kills_there_are() -> None:
    for log in ("sqlite", "kafka"):
        one, other = (make_plans(Random(7), 100, log, least=3) for _ in range(2))
        assert one == other
        points = [kill.point for plan in one for kill in plan if kill.point]
        assert len(points) < sum(len(plan) for plan in one)
        assert min(points.count(point) for point in set(points)) * 2 >= POINTS_LEAST
        assert not any(kill.target in {"clock", "live"} for kill in one[1])
