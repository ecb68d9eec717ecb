"""Runs programs as child processes: starts them side by side, restarts those that are killed, stops them all.

A program that ends with an error has said what a person must do, and starting it again would say the same:
it ends the supervisor, and with it all others. One that was killed, or told to stop by someone else, is
started again, so many times in a row.

A child ends with its supervisor, however that ends: its standard input is a pipe whose other end dies
with it (see `serving.stopping`). What a child prints goes to a file of its own.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import BinaryIO

import psutil
import structlog

from connectors.backoff import Backoff
from connectors.metrics import PROGRAM_ENDS
from serving.stopping import SUPERVISED

_BACKOFF_FIRST_S = 0.2
_BACKOFF_MOST_S = 30.0
# In a row, some four minutes: whatever kills a program so often will do so again.
_RESTARTS_MAX = 12
# A program that has run for so long has recovered; its next end is a first one.
_STEADY_S = 60.0
_WATCH_S = 0.1
_STOP_S = 60.0
_LAST_LINES_BYTES = 2_000
# Less than a small commit needs, with the pages that it writes anew.
_FULL_BYTES = 1 << 20
# A program that comes up computes; one that does nothing for so long waits for what does not come.
_IDLE_S = 120.0
# Of processor time. Little, for a machine with thirty other things to do gave a program 1 s in a minute; what only
# looks around now and then is told apart from it by `_START_S` at last.
_WORKS_S = 0.1
# On a machine that has a dozen other things to do, coming up has taken two minutes.
_START_S = 900.0
_TELL_S = 10.0

# glibc gives each thread a heap of its own and hardly gives it back: two heaps are enough for programs
# whose large memory is Arrow's, and save a few hundred MB over all of them.
_FRUGAL = {"MALLOC_ARENA_MAX": "2"}


class SupervisorError(RuntimeError):
    """A program that does not come up, or cannot go on; the message has the end of what it printed."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A verb of the command line, run as a process of its own.

    Parameters
    ----------
    name : str
        In messages, and of its log file.
    arguments : sequence of str
        The verb and its options.
    environment : mapping of str to str
        All of its environment.
    ready : callable
        Whether it has come up; asked until it says so.
    after : tuple of str
        Programs that must have come up before it is started.
    nice : int
        Unix niceness: how far it steps back where the processors are busy.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool] = field(default=lambda: True)
    after: tuple[str, ...] = ()
    nice: int = 0


@dataclass(kw_only=True)
class _Child:
    program: Program
    process: subprocess.Popen[bytes]
    started_s: float
    backoff: Backoff
    restart_s: float | None = None
    is_up: bool = False
    # While it comes up: what it had computed when it was last seen at work, and when that was.
    used_s: float = 0.0
    worked_s: float


class Supervisor:
    """Starts, watches and stops programs.

    Parameters
    ----------
    programs : sequence of Program
        All of them; each is stopped when those that come after it have ended.
    logs : Path
        Folder for ``NAME.log`` files.
    restarts_max : int
        So many times in a row a program that is killed is started again.
    """

    def __init__(
        self, programs: Sequence[Program], logs: Path, *, restarts_max: int = _RESTARTS_MAX
    ) -> None:
        names = {one.name for one in programs}
        for one in programs:
            if not names.issuperset(one.after):
                raise ValueError(f"{one.name} comes after {one.after}, and there are only {names}")
        self._programs = programs
        self._logs = logs
        self._restarts_max = restarts_max
        self._children: list[_Child] = []
        self._logger = structlog.get_logger("supervisor")

    @property
    def pids(self) -> dict[str, int]:
        """Process of each program."""
        return {child.program.name: child.process.pid for child in self._children}

    def start(self, stop: Event | None = None, *, idle_s: float = _IDLE_S) -> None:
        """Start all programs, each once those that it comes after are up, and return when all are, or at a stop.

        It waits for as long as they work at it: how long that takes is the machine's affair.

        Raises
        ------
        SupervisorError
            Where a program ends, or has neither come up nor computed for ``idle_s``; all are stopped then.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        waiting = list(self._programs)
        told_s = monotonic()
        stop = stop or Event()
        try:
            while waiting or not all(child.is_up for child in self._children):
                up = {child.program.name for child in self._children if child.is_up}
                for program in [one for one in waiting if up.issuperset(one.after)]:
                    waiting.remove(program)
                    self._children.append(self._child(program))
                for child in [one for one in self._children if not one.is_up]:
                    self._look_at(child, idle_s)
                if monotonic() - told_s >= _TELL_S:
                    told_s = monotonic()
                    self._tell_who_is_not_up()
                if stop.wait(_WATCH_S / 2):
                    return
        except SupervisorError:
            self.stop()
            raise

    def watch(self, stop: Event) -> None:
        """Restart what is killed, until told to stop.

        Raises
        ------
        SupervisorError
            As `check`; the caller stops the others.
        """
        while not stop.wait(_WATCH_S):
            self.check()

    def check(self) -> None:
        """Restart, with growing pauses, programs that were killed.

        Raises
        ------
        SupervisorError
            Where a program ended with an error, or was killed too many times in a row.
        """
        for child in self._children:
            if child.restart_s is not None:
                if monotonic() >= child.restart_s:
                    self._restart(child)
            elif child.process.poll() is not None:
                self._ended(child)

    def _restart(self, child: _Child) -> None:
        _close_pipe(child.process)
        child.process, child.started_s = self._spawn(child.program), monotonic()
        child.restart_s = None
        self._logger.info("program restarted", program=child.program.name, pid=child.process.pid)

    def _ended(self, child: _Child) -> None:
        """Say that a program has ended, and when it is started again.

        Raises
        ------
        SupervisorError
            Where it is not.
        """
        code = child.process.returncode
        how = _how(code)
        PROGRAM_ENDS.labels(child.program.name, how.partition(" ")[0]).inc()
        if code > 0:
            raise SupervisorError(
                self._told(child, "ended with an error, so everything was stopped")
            )
        if monotonic() - child.started_s >= _STEADY_S:
            child.backoff.reset()
        if child.backoff.attempts >= self._restarts_max:
            again = f"{how}, {self._restarts_max + 1} times in a row, so everything was stopped"
            raise SupervisorError(self._told(child, again))
        pause = child.backoff.next_s()
        child.restart_s = monotonic() + pause
        self._logger.warning(
            "program ended",
            program=child.program.name,
            how=how,
            restart_in_s=round(pause, 2),
            log=str(self._log_path(child.program)),
            last=self._last_line(child.program),
        )

    def _told(self, child: _Child, why: str) -> str:
        # What a program ends with finds no room on a full disk either.
        if shutil.disk_usage(self._logs).free < _FULL_BYTES:
            why += f"; the disk of {self._logs} is full: free space, and start again"
        return (
            f"{child.program.name} {why}; the end of {self._log_path(child.program)}:\n"
            f"{self._last_lines(child.program)}"
        )

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """Stop all programs side by side, each with time to finish what it has begun and to use those it comes after."""
        while self._children:
            needed = {name for child in self._children for name in child.program.after}
            # In a ring none could be started: some program here is needed by no other.
            ending = [child for child in self._children if child.program.name not in needed]
            self._stop_all(ending, timeout_s)
            self._children = [child for child in self._children if child not in ending]

    def retire(self, name: str, timeout_s: float = _STOP_S) -> None:
        """Stop one program for good."""
        ending = [one for one in self._children if one.program.name == name]
        self._stop_all(ending, timeout_s)
        self._children = [child for child in self._children if child not in ending]

    def _stop_all(self, ending: Sequence[_Child], timeout_s: float) -> None:
        for child in ending:
            child.process.terminate()
        deadline_s = monotonic() + timeout_s
        for child in ending:
            try:
                child.process.wait(max(0.0, deadline_s - monotonic()))
            except subprocess.TimeoutExpired:
                self._logger.warning(
                    "program killed", program=child.program.name, waited_s=timeout_s
                )
                child.process.kill()
                child.process.wait()
            _close_pipe(child.process)

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        with self._open_log(program) as output:
            process = subprocess.Popen(  # noqa: S603 - our own verbs, no shell
                [sys.executable, "-m", "serving.cli", *program.arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**_FRUGAL, **program.environment, SUPERVISED: "1"},
                # Ctrl-C in a terminal goes to the whole group; here the supervisor alone answers to it.
                # Not a session of its own: Linux would share the processors out by session, whatever
                # the niceness.
                process_group=0,
            )
        # Before it has threads of its own: they inherit it.
        os.setpriority(os.PRIO_PROCESS, process.pid, program.nice)
        return process

    def _child(self, program: Program) -> _Child:
        now_s = monotonic()
        return _Child(
            program=program,
            process=self._spawn(program),
            started_s=now_s,
            worked_s=now_s,
            backoff=Backoff(first_s=_BACKOFF_FIRST_S, most_s=_BACKOFF_MOST_S, seed=0),
        )

    def _look_at(self, child: _Child, idle_s: float) -> None:
        """Note whether a program has come up.

        Raises
        ------
        SupervisorError
            Where it will not.
        """
        if child.program.ready():
            child.is_up = True
            return
        if child.process.poll() is not None:
            raise SupervisorError(self._told(child, f"ended with code {child.process.returncode}"))
        now_s, used_s = monotonic(), _processor_s(child.process)
        if used_s - child.used_s >= _WORKS_S:
            child.used_s, child.worked_s = used_s, now_s
        if now_s - child.worked_s > idle_s:
            why = f"is not ready, and has computed for less than {_WORKS_S:g} s in {idle_s:g} s"
        elif now_s - child.started_s > _START_S:
            why = f"is not ready after {_START_S:g} s"
        else:
            return
        raise SupervisorError(self._told(child, why))

    def _tell_who_is_not_up(self) -> None:
        for child in self._children:
            if not child.is_up:
                self._logger.info(
                    "waiting for a program to come up",
                    program=child.program.name,
                    waited_s=round(monotonic() - child.started_s),
                    processor_s=round(_processor_s(child.process), 1),
                    log=str(self._log_path(child.program)),
                    last=self._last_line(child.program),
                )

    def _log_path(self, program: Program) -> Path:
        return self._logs / f"{program.name}.log"

    def _open_log(self, program: Program) -> BinaryIO:
        return self._log_path(program).open("ab")

    def _last_lines(self, program: Program) -> str:
        with self._log_path(program).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LAST_LINES_BYTES))
            return file.read().decode(errors="replace").strip()

    def _last_line(self, program: Program) -> str:
        return (self._last_lines(program).splitlines() or [""])[-1]


def _how(code: int) -> str:
    """How a process ended, by its code: with an error, killed by which signal, or stopped."""
    if code > 0:
        return "error"
    if code == 0:
        return "stopped by someone else"
    return f"killed by {signal.Signals(-code).name}"


def _processor_s(process: subprocess.Popen[bytes]) -> float:
    """Processor time that it has used; 0 where it has just ended."""
    try:
        times = psutil.Process(process.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
