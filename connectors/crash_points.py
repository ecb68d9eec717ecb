"""Named points at which a test may kill this very process, as `kill -9` or a failing machine would.

The environment's ``TAPEFLOW_CRASH_AT=NAME:N`` arms one point: the process sends itself SIGKILL at the N-th
pass. Where nothing is armed a point costs a look at an empty list. `docs/exactly-once.md` says of every point what
it leaves behind and why a restart ends in the same rows.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import NoReturn

CRASH_AT = "TAPEFLOW_CRASH_AT"

# Every point there is: a name that is mistyped in a test must not be a test that never crashes.
POINTS = (
    "shard: outputs prepared",
    "shard: committed",
    "snapshot: between chunks",
    "snapshot: chunks appended",
    "snapshot: manifest appended",
    "sqlite: before COMMIT",
    "sqlite: committed",
    "kafka: records sent",
    "kafka: committed",
    "clickhouse: intents recorded",
    "clickhouse: written",
    "lake: intents recorded",
    "lake: file written",
    "lake: file renamed",
    "lake: written",
    "landings: checkpoint recorded",
    "compaction: before swap",
    "compaction: after swap",
    "store: insert received",
    "store: inserted",
    "feed: before commit",
    "feed: committed",
    "clock: before commit",
    "clock: committed",
)


class CrashPointError(ValueError):
    """``TAPEFLOW_CRASH_AT`` names no point, or no pass of it."""


class _Armed:
    """One point, and how many passes of it are left."""

    def __init__(self, name: str, nth: int, act: Callable[[], None]) -> None:
        self._name = name
        self._left = nth
        self._act = act
        self._lock = threading.Lock()

    def passed(self, name: str) -> None:
        if name != self._name:
            return
        with self._lock:
            self._left -= 1
            crash = self._left == 0
        if crash:
            self._act()


def crash_point(name: str) -> None:
    """Die here, if a test has asked for it; else do nothing.

    Parameters
    ----------
    name : str
        One of `POINTS`.
    """
    for point in _ARMED:
        point.passed(name)


def arm(name: str, nth: int, act: Callable[[], None] | None = None) -> None:
    """Crash this process at the ``nth`` pass of a point from now on, in place of any armed before.

    Parameters
    ----------
    name : str
        One of `POINTS`.
    nth : int
        From 1.
    act : callable, optional
        What to do there; by default the process kills itself.

    Raises
    ------
    CrashPointError
        Where there is no such point or pass.
    """
    if name not in POINTS or nth < 1:
        raise CrashPointError(
            f"crash point {name!r}, pass {nth}: a pass from 1 on was needed, of one of: "
            f"{'; '.join(POINTS)}"
        )
    _ARMED[:] = [_Armed(name, nth, _kill_own_process if act is None else act)]


def disarm() -> None:
    """Crash nowhere from now on."""
    _ARMED.clear()


def arm_from(environment: Mapping[str, str]) -> None:
    """Arm the point that an environment names, if it names one.

    Raises
    ------
    CrashPointError
        Where it names none as ``NAME:N``.
    """
    text = environment.get(CRASH_AT)
    if text is None:
        return
    name, _, nth = text.rpartition(":")
    if not nth.isdecimal():
        raise CrashPointError(f"{CRASH_AT}={text}: it must be NAME:N, such as {POINTS[0]}:1")
    arm(name, int(nth))


def _kill_own_process() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    # The signal may take a moment; whatever came behind the point must not be done.
    while True:
        signal.pause()


# One at the most.
_ARMED: list[_Armed] = []
# At import, and not by the settings: a point may be passed by a process that has none, such as a worker.
arm_from(os.environ)
