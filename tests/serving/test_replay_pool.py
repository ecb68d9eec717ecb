"""A replay's processes: one that fails ends all of it, and what the others tell is no reason to wait."""

import os
import signal
import time
from dataclasses import dataclass

import pytest

from flows.flow import FlowError
from serving.replay_pool import Pool, Work
from serving.replay_tasks import Logs, Tell

LONG_S = 60.0


@dataclass(frozen=True)
class Endless:
    """Tells how far it is for a minute, and takes no longer than that only if it is stopped."""

    name: str = "endless"
    records: int = 10

    def run(self, logs: Logs, tell: Tell) -> float:
        del logs
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < LONG_S:
            time.sleep(0.05)
            tell(1, 1)
        return time.monotonic() - begun_s


@dataclass(frozen=True)
class Failing:
    """Fails, or is killed, when the others are at work."""

    killed: bool
    name: str = "failing"
    records: int = 1

    def run(self, logs: Logs, tell: Tell) -> float:
        del logs, tell
        time.sleep(1)
        if self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise FlowError("of another version")


@pytest.mark.parametrize(
    ("killed", "told"), [(False, "of another version"), (True, "was killed, .* --workers 1")]
)
def test_an_error_in_one_process_ends_the_others(*, killed: bool, told: str) -> None:
    tasks: list[Work[float]] = [Endless(), Failing(killed)]
    begun_s = time.monotonic()
    with Logs() as logs, pytest.raises(FlowError, match=told), Pool(logs, 2, show=False) as pool:
        pool.run(tasks)
    assert time.monotonic() - begun_s < LONG_S / 2
