"""What a demo and a benchmark do alike: bring data in, wait until all has landed, watch the memory."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from time import monotonic

import psutil

from connectors.landings import LAKE
from serving.demo_watch import Watch
from serving.settings import Settings
from serving.settings_sources import program_environment
from serving.stopping import SUPERVISED
from serving.supervisor import Supervisor, SupervisorError

LOOK_S = 0.2
# While nothing moves: a program that hangs must not hang the demo.
_STILL_S = 60.0


@contextmanager
def feeding(settings: Settings, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The verb that brings the data in, in a process of its own; its failure is an error here."""
    settings.logs_path.mkdir(parents=True, exist_ok=True)
    path = settings.logs_path / "feed.log"
    with path.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own verb, no shell
            [sys.executable, "-m", "serving.cli", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**program_environment(settings), SUPERVISED: "1"},
        )
    try:
        yield process
    finally:
        process.terminate()
        code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if code != 0:
        raise SupervisorError(f"{arguments[0]} ended with code {code}:\n{path.read_text().strip()}")


class Memory:
    """Proportional set size of all programs that this process started, in MiB.

    Parameters
    ----------
    itself : bool
        Whether this process counts too.
    """

    _EVERY_S = 1.0

    def __init__(self, *, itself: bool = True) -> None:
        self._itself = itself
        self._process = psutil.Process(os.getpid())
        self._looked_s = -self._EVERY_S
        self.now_mib = 0.0
        self.largest_mib = 0.0

    def look(self) -> None:
        """Measure, at most once a second: reading it costs milliseconds."""
        if monotonic() - self._looked_s < self._EVERY_S:
            return
        self._looked_s = monotonic()
        total = 0
        own = (self._process,) if self._itself else ()
        for process in (*own, *self._process.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self.now_mib = total / 2**20
        self.largest_mib = max(self.largest_mib, self.now_mib)


def drain(supervisor: Supervisor, watch: Watch, look: Callable[[], None]) -> None:
    """Look until everything that is in the log is in ClickHouse and in the lake; clock and lander end.

    Raises
    ------
    SupervisorError
        Where nothing moves any more and something is missing.
    """
    # Time that passes on for live sources would append watermark rows for ever.
    supervisor.retire("clock")
    seen = -1
    moved_s = monotonic()
    while not watch.caught_up():
        look()
        if watch.records != seen:
            seen, moved_s = watch.records, monotonic()
        elif monotonic() - moved_s > _STILL_S:
            raise SupervisorError(
                f"nothing has landed for {_STILL_S:g} s and not everything is in ClickHouse; see what "
                "the programs printed, in the folder logs"
            )
        Event().wait(LOOK_S / 4)
    # Its end is the quickest way of the last rows to the lake.
    supervisor.retire("lander")
    look()
    if not watch.caught_up(LAKE):
        raise SupervisorError(
            "the lander has ended before everything was in the lake; see logs/lander.log"
        )
