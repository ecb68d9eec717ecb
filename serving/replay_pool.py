"""Does the tasks of a replay, one after the other or in several processes, and shows how far they are."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, Protocol, Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows.flow import FlowError
from serving.replay_tasks import Logs, Tell
from serving.settings_sources import load_settings

Result_co = TypeVar("Result_co", covariant=True)

# With fewer input records than this, starting processes takes longer than they save.
_WORTH_PROCESSES = 2_000
_LOOK_S = 0.2


class Work(Protocol[Result_co]):
    """A task with its result; it is handed to another process."""

    @property
    def name(self) -> str:
        """As the display shows it."""

    @property
    def records(self) -> int:
        """Input records, for the percentage."""

    def run(self, logs: Logs, tell: Tell) -> Result_co:
        """Do it, telling how far it is."""


Result = TypeVar("Result")


class Pool:
    """Does tasks. To be used in a ``with``.

    Parameters
    ----------
    logs : Logs
        For what is done in this process.
    workers : int or None
        Processes; None for as many as there are processors, and one where there is little to do.
    show : bool
        Whether progress is shown, on standard error and to a terminal only.
    """

    def __init__(self, logs: Logs, workers: int | None = None, *, show: bool = True) -> None:
        self.logs = logs
        self._workers = workers
        self._processes: ProcessPoolExecutor | None = None
        self._told: Any = None
        self._stop: Any = None
        self._display = _Display(show=show)

    def run(self, tasks: Sequence[Work[Result]]) -> list[Result]:
        """The tasks' results, in their order; the first error ends all of it."""
        self._display.expect(sum(task.records for task in tasks))
        count = min(self._count(tasks), len(tasks))
        if count <= 1:
            return [self._done_here(task) for task in tasks]
        return self._done_there(tasks, count)

    def close(self) -> None:
        """End the processes and the display."""
        if self._processes is not None:
            self._processes.shutdown(wait=True, cancel_futures=True)
        self._display.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _count(self, tasks: Sequence[Work[Result]]) -> int:
        if self._workers is not None:
            return self._workers
        if sum(task.records for task in tasks) < _WORTH_PROCESSES:
            return 1
        return len(os.sched_getaffinity(0))

    def _done_here(self, task: Work[Result]) -> Result:
        self._display.name(task.name)
        return task.run(self.logs, self._display.tell)

    def _done_there(self, tasks: Sequence[Work[Result]], count: int) -> list[Result]:
        if self._processes is None:
            # Spawned: a fork of a process with threads and open logs may hang.
            context = get_context("spawn")
            self._told = context.SimpleQueue()
            self._stop = context.Event()
            workers = self._workers or len(os.sched_getaffinity(0))
            self._processes = ProcessPoolExecutor(
                workers, mp_context=context, initializer=_begin, initargs=(self._told, self._stop)
            )
        # The largest first, so that the last to end is a small one.
        order = sorted(range(len(tasks)), key=lambda at: -tasks[at].records)
        futures: dict[int, Future[Result]] = {
            at: self._processes.submit(_run, tasks[at]) for at in order
        }
        # It looks again at which processes there are: one that was begun while it did is not watched, and its death not seen.
        self._processes.submit(_nothing)
        self._display.name(f"{len(tasks)} parts in {count} processes")
        left = set(futures.values())
        try:
            while left:
                done, left = wait(left, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
                self._listen()
                for future in done:
                    future.result()
        except BrokenProcessPool as error:
            raise FlowError(
                "replay: one of its processes was killed, as the system does where memory runs out; repeat it "
                "with fewer: --workers 1"
            ) from error
        finally:
            # Where one has failed, nobody listens to the others any more, and they would wait for that for ever.
            if left:
                self._stop.set()
        return [futures[at].result() for at in range(len(tasks))]

    def _listen(self) -> None:
        while not self._told.empty():
            self._display.tell(*self._told.get())


# Of a worker process; closed when it ends.
_logs = Logs()
_tell_parent: Callable[[tuple[int, int]], None] | None = None
_stop: Any = None


class _StoppedError(Exception):
    """Another task has failed, and this one's result is not wanted any more."""


def _begin(queue: Any, stop: Any) -> None:
    global _tell_parent, _stop
    _tell_parent, _stop = queue.put, stop
    # What brokers ask for is known to the process that has loaded the settings.
    load_settings()


def _nothing() -> None:
    """Wake up who watches the processes."""


def _run(task: Work[Result]) -> Result:
    """In a worker: do a task, and tell the parent five times a second how far it is."""
    rows = records = 0
    told_s = time.monotonic()

    def tell(more_rows: int, more_records: int) -> None:
        nonlocal rows, records, told_s
        rows, records = rows + more_rows, records + more_records
        if time.monotonic() - told_s >= _LOOK_S and _tell_parent is not None:
            if _stop.is_set():
                raise _StoppedError
            _tell_parent((rows, records))
            rows, records, told_s = 0, 0, time.monotonic()

    result = task.run(_logs, tell)
    if _tell_parent is not None:
        _tell_parent((rows, records))
    return result


class _Display:
    """One line: percent of the input records, rows, rows a second, time left. Silent where nobody looks."""

    def __init__(self, *, show: bool) -> None:
        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[speed]:,.0f} rows/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (show and console.is_terminal),
        )
        self._task = self._progress.add_task("", total=0, rows=0, speed=0.0)
        self._rows = 0
        self._total = 0
        self._begun_s = time.monotonic()
        self._progress.start()

    def expect(self, records: int) -> None:
        """Take on so many more input records."""
        self._total += records
        self._progress.update(self._task, total=self._total)

    def name(self, what: str) -> None:
        """Say what is being done."""
        self._progress.update(self._task, description=what)

    def tell(self, rows: int, records: int) -> None:
        """Note what was done."""
        self._rows += rows
        speed = self._rows / max(time.monotonic() - self._begun_s, 1e-3)
        self._progress.update(self._task, advance=records, rows=self._rows, speed=speed)

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()
