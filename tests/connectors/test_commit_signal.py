"""Who waits for a log's next commit is woken by it, in whatever process it is made."""

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from connectors.commit_signal import CommitSignal
from connectors.log import Log, NewRecord, TopicConfig, open_log

# A test that is not woken ends here, and fails.
_LONG_S = 60.0
_SEND = "import sys; from pathlib import Path; from connectors.commit_signal import CommitSignal; "

# Linux has it, on which CI runs; elsewhere waiters nap, and the tests without this mark are of that.
has_inotify = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "inotify_init1"), reason="only Linux has inotify"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "commits"


@pytest.fixture
def signal(path: Path) -> Iterator[CommitSignal]:
    one = CommitSignal(path)
    yield one
    one.close()


@has_inotify
def test_a_commit_of_another_process_wakes_who_waits(signal: CommitSignal, path: Path) -> None:
    with signal.watching() as watch:
        watch.clear()
        code = _SEND + "CommitSignal(Path(sys.argv[1])).send()"
        with subprocess.Popen([sys.executable, "-c", code, str(path)]):
            assert watch.wait(_LONG_S)


@has_inotify
def test_a_commit_between_the_look_and_the_sleep_is_not_slept_through(
    signal: CommitSignal,
) -> None:
    with signal.watching() as watch:
        watch.clear()
        signal.send()
        assert watch.wait(_LONG_S)


@has_inotify
def test_what_was_cleared_wakes_nobody(signal: CommitSignal) -> None:
    with signal.watching() as watch:
        for _ in range(3):
            signal.send()
        watch.clear()
        assert not watch.wait(0.0)


@has_inotify
def test_one_commit_wakes_all_who_wait(signal: CommitSignal) -> None:
    with signal.watching() as one, signal.watching() as other:
        signal.send()
        assert one.wait(_LONG_S)
        assert other.wait(_LONG_S)


@has_inotify
def test_a_watch_that_is_given_back_is_the_next_ones(signal: CommitSignal) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        with signal.watching() as watch:
            watch.clear()
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1


def test_the_file_takes_no_room_so_that_a_log_opens_where_the_disk_is_full(
    signal: CommitSignal, path: Path
) -> None:
    found = path.stat()
    assert (found.st_size, found.st_blocks) == (1, 0)


@has_inotify
def test_a_watch_in_use_while_all_is_closed_is_given_back_too(path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    one = CommitSignal(path)
    with one.watching():
        one.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("missing", ["inotify_init1", "all instances in use"])
def test_where_nothing_tells_of_commits_a_waiter_naps(
    signal: CommitSignal, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    class Libc:
        """A C library without inotify, or whose user has no instance left."""

        if missing != "inotify_init1":
            inotify_add_watch = inotify_init1 = staticmethod(lambda *_: -1)

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    with signal.watching() as watch:
        watch.clear()
        # It sleeps for less than it was told, and the log is looked at again.
        assert not watch.wait(_LONG_S)


@has_inotify
def test_a_waiter_of_a_log_is_woken_and_not_by_commits_to_other_topics(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    with open_log(url) as log, open_log(url) as other:
        for name in ("wanted", "else"):
            log.create_topic(TopicConfig(name=name, partitions=1))
        woken: list[bool] = []
        waiting = Thread(target=lambda: woken.append(log.wait({("wanted", 0): 0}, _LONG_S)))
        waiting.start()
        for _ in range(20):
            _append(other, "else")
        assert waiting.is_alive()
        _append(other, "wanted")
        waiting.join(_LONG_S)
        assert woken == [True]
        assert not log.wait({("wanted", 0): 1}, 0.0)


def _append(log: Log, topic: str) -> None:
    log.append([NewRecord(topic=topic, partition=0, value=b"1")])
