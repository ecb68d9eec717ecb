"""The supervisor, on real processes: order of start, restarts, and that nothing outlives it."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest
from structlog.testing import capture_logs

from serving.settings_sources import load_settings, program_environment
from serving.supervisor import Program, Supervisor, SupervisorError


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return program_environment(load_settings({"TAPEFLOW_HOME": str(tmp_path)}))


@pytest.fixture
def stores(tmp_path: Path, environment: dict[str, str]) -> Iterator[Supervisor]:
    """A supervisor of one program that takes a moment to be ready, the store."""
    ready = tmp_path / "store" / "store.json"
    program = Program(
        name="store", arguments=["store"], environment=environment, ready=ready.is_file
    )
    supervisor = Supervisor([program], tmp_path / "logs")
    yield supervisor
    supervisor.stop()


def _wait(until: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not until():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_program_is_up_when_start_returns_and_ends_with_stop(
    stores: Supervisor, tmp_path: Path
) -> None:
    stores.start()
    assert (tmp_path / "store" / "store.json").is_file()
    process = psutil.Process(stores.pids["store"])
    assert process.is_running()
    stores.stop()
    assert not process.is_running()
    # It was asked to end, and had the time to tidy up.
    assert not (tmp_path / "store" / "store.json").is_file()
    assert "store stopped" in (tmp_path / "logs" / "store.log").read_text()


def test_a_program_that_was_killed_is_started_again(stores: Supervisor, tmp_path: Path) -> None:
    stores.start()
    first = stores.pids["store"]
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        stores.check()
        return stores.pids["store"] != first

    _wait(again)
    assert psutil.Process(stores.pids["store"]).is_running()


def test_a_program_that_does_not_come_up_is_an_error_with_what_it_printed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    wrong = {**environment, "TAPEFLOW_PARTITIONS": "none"}
    program = Program(name="store", arguments=["store"], environment=wrong, ready=lambda: False)
    supervisor = Supervisor([program], tmp_path / "logs")
    with pytest.raises(SupervisorError, match=r"store ended with code 1(?s:.*)partitions = 'none'"):
        supervisor.start()
    assert supervisor.pids == {}


def test_programs_come_up_side_by_side_and_after_those_that_they_need(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    ready = tmp_path / "store" / "store.json"
    clock = Program(
        name="clock",
        arguments=["clock"],
        environment=environment,
        # One after the other, in the order in which they are named, nobody would ever be up.
        ready=lambda: "store" in supervisor.pids,
    )
    store = Program(name="store", arguments=["store"], environment=environment, ready=ready.is_file)
    seen: list[bool] = []

    def see_the_store() -> bool:
        seen.append(ready.is_file())
        return True

    late = Program(
        name="late",
        arguments=["clock"],
        environment=environment,
        ready=see_the_store,
        after=("store",),
    )
    supervisor = Supervisor([late, clock, store], tmp_path / "logs")
    try:
        supervisor.start()
        assert set(supervisor.pids) == {"late", "clock", "store"}
        assert seen == [True]
    finally:
        supervisor.stop()
    with pytest.raises(ValueError, match="late comes after"):
        Supervisor([late, clock], tmp_path / "logs")


def test_programs_end_side_by_side_and_before_those_that_they_need(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    def store(name: str, after: tuple[str, ...] = ()) -> Program:
        home = tmp_path / name
        return Program(
            name=name,
            arguments=["store"],
            environment={**environment, "TAPEFLOW_STORE": f"chdb:///{home}"},
            ready=(home / "store.json").is_file,
            after=after,
        )

    programs = [store("needed"), store("quick", ("needed",)), store("frozen", ("needed",))]
    supervisor = Supervisor(programs, tmp_path / "logs")
    supervisor.start()
    processes = {name: psutil.Process(pid) for name, pid in supervisor.pids.items()}
    processes["frozen"].suspend()
    stopping = Thread(target=supervisor.stop)
    stopping.start()
    try:
        _wait(lambda: not (tmp_path / "quick" / "store.json").exists())
        assert (tmp_path / "needed" / "store.json").exists()
    finally:
        processes["frozen"].resume()
        stopping.join()
    assert not any(process.is_running() for process in processes.values())


def test_a_program_is_waited_for_as_long_as_it_works_and_said_so(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that does a dozen other things, coming up takes minutes."""
    used_s = itertools.count(1)
    monkeypatch.setattr("serving.supervisor._processor_s", lambda _: float(next(used_s)))
    monkeypatch.setattr("serving.supervisor._TELL_S", 0.0)
    asked = itertools.count()
    program = Program(
        name="store", arguments=["store"], environment=environment, ready=lambda: next(asked) > 5
    )
    supervisor = Supervisor([program], tmp_path / "logs")
    with capture_logs() as said:
        supervisor.start(idle_s=0.0)
    supervisor.stop()
    assert {(one["event"], one["program"]) for one in said} == {
        ("waiting for a program to come up", "store")
    }


def test_who_is_told_to_stop_waits_for_no_program_to_come_up(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Coming up may take minutes; Ctrl-C is heard meanwhile."""
    stop = Event()

    def not_before_the_stop() -> bool:
        stop.set()
        return False

    program = Program(
        name="store", arguments=["store"], environment=environment, ready=not_before_the_stop
    )
    supervisor = Supervisor([program], tmp_path / "logs")
    try:
        supervisor.start(stop)
        assert stop.is_set()
        supervisor.watch(stop)
    finally:
        supervisor.stop()
    assert supervisor.pids == {}


def test_of_a_program_that_ends_on_a_full_disk_is_told_that_it_is_full(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it ended with found no room in its log: it was told that it had ended, and an empty line."""
    # As full as any disk: what is free is less.
    monkeypatch.setattr("serving.supervisor._FULL_BYTES", 1 << 62)
    wrong = {**environment, "TAPEFLOW_PARTITIONS": "none"}
    program = Program(name="store", arguments=["store"], environment=wrong, ready=lambda: False)
    supervisor = Supervisor([program], tmp_path / "logs")
    with pytest.raises(
        SupervisorError, match=r"ended with code 1; the disk of .*logs is full: free space, and"
    ):
        supervisor.start()
    supervisor.stop()


def test_a_program_that_neither_comes_up_nor_works_is_an_error(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.supervisor._processor_s", lambda _: 0.05)
    program = Program(
        name="store", arguments=["store"], environment=environment, ready=lambda: False
    )
    supervisor = Supervisor([program], tmp_path / "logs")
    with pytest.raises(SupervisorError, match="store is not ready, and has computed for less"):
        supervisor.start(idle_s=0.3)
    assert supervisor.pids == {}


def test_programs_end_when_their_supervisor_is_killed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from serving.supervisor import Program, Supervisor\n"
        "home = Path(os.environ['TAPEFLOW_HOME'])\n"
        "program = Program(name='store', arguments=['store'], environment=dict(os.environ),\n"
        "    ready=(home / 'store' / 'store.json').is_file)\n"
        "supervisor = Supervisor([program], home / 'logs')\n"
        "supervisor.start()\n"
        "print(supervisor.pids['store'], flush=True)\n"
        "time.sleep(600)\n"
    )
    keeper = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdout is not None
    child = psutil.Process(int(keeper.stdout.readline()))
    keeper.kill()
    keeper.wait()
    keeper.stdout.close()
    _wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert not (tmp_path / "store" / "store.json").exists()


def test_a_program_that_ends_with_an_error_ends_the_supervisor_with_what_it_said(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Starting it again would say the same, and the others would go on without it unseen."""
    log = tmp_path / "log.db"
    ready = tmp_path / "store" / "store.json"
    store = Program(name="store", arguments=["store"], environment=environment, ready=ready.is_file)
    # It comes up, and ends when it looks at a log that is none.
    log.write_bytes(b"no database at all" * 100)
    clock = Program(name="clock", arguments=["clock"], environment=environment)
    supervisor = Supervisor([store, clock], tmp_path / "logs")
    supervisor.start()
    store_process = psutil.Process(supervisor.pids["store"])

    def ended() -> bool:
        supervisor.check()
        return False

    with pytest.raises(
        SupervisorError, match=r"clock ended with an error(?s:.*)tapeflow: log .*log.db"
    ):
        _wait(ended)
    supervisor.stop()
    assert not store_process.is_running()


def test_a_program_that_is_killed_again_and_again_is_given_up(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    ready = tmp_path / "store" / "store.json"
    program = Program(
        name="store", arguments=["store"], environment=environment, ready=ready.is_file
    )
    supervisor = Supervisor([program], tmp_path / "logs", restarts_max=2)
    supervisor.start()
    killed: set[int] = set()

    def given_up() -> bool:
        pid = supervisor.pids["store"]
        if pid not in killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        supervisor.check()
        return False

    with pytest.raises(SupervisorError, match="killed by SIGKILL, 3 times in a row"):
        _wait(given_up)
    assert len(killed) == 3
    supervisor.stop()


def test_a_program_that_someone_else_stopped_is_started_again(stores: Supervisor) -> None:
    stores.start()
    first = stores.pids["store"]
    os.kill(first, signal.SIGTERM)

    def again() -> bool:
        stores.check()
        return stores.pids["store"] != first

    _wait(again)
