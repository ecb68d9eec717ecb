"""What the SQLite log promises beyond the contract: crashes, power cuts, many processes."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connectors import sqlite_file
from connectors.log import (
    CorruptLogError,
    Log,
    LogError,
    NewRecord,
    Record,
    TopicConfig,
    TruncatedError,
    UnknownTopicError,
    open_log,
)
from connectors.sqlite_log import SqliteLog, path_of
from connectors.sqlite_rows import to_row

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Log:
    """A log with one topic of two partitions and one that is synced; the test closes it or leaves it."""
    opened = open_log(f"sqlite:///{path}")
    opened.create_topic(TopicConfig(name="ticks", partitions=2))
    opened.create_topic(TopicConfig(name="orders", partitions=1, synced=True))
    return opened


def read_all(log: Log, topic: str, partition: int = 0) -> list[Record]:
    records: list[Record] = []
    at = log.start(topic, partition)
    while (chunk := log.read(topic, partition, at)).records:
        records += chunk.records
        at = chunk.next_offset
    return records


def test_a_url_names_an_absolute_or_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_of(f"sqlite:///{tmp_path}/a.db") == tmp_path / "a.db"
    assert path_of("sqlite:///data/a.db") == tmp_path / "data" / "a.db"
    for wrong in ("sqlite:///", "sqlite://a.db", "sqlite:a.db"):
        with pytest.raises(LogError, match=r"sqlite:///data/log\.db"):
            path_of(wrong)


def test_the_folder_of_a_new_log_is_made(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path}/a/b/log.db"):
        assert (tmp_path / "a" / "b" / "log.db").is_file()


COMMIT_FOREVER = """
import sys
from connectors.log import NewRecord, open_log
log = open_log(sys.argv[1])
writer = log.writer("w")
number = writer.number
while True:
    number += 1
    half = [NewRecord("ticks", p, b"%d" % number + b"x" * 20_000) for p in (0, 1)]
    writer.commit(half + half, number)
    print(number, flush=True)
"""


def test_kill_9_loses_no_acknowledged_commit_and_leaves_no_half_one(log: Log) -> None:
    acknowledged = 0
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMIT_FOREVER, log.url], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(40):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        # What it had still printed before it died was acknowledged too.
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
        process.wait()
        process.stdout.close()
        with log.writer("w") as writer:
            committed = writer.number
        assert committed in (acknowledged, acknowledged + 1)
        for partition in (0, 1):
            numbers = [
                int((record.value or b"").rstrip(b"x"))
                for record in read_all(log, "ticks", partition)
            ]
            assert numbers == [n for n in range(1, committed + 1) for _ in range(2)]
    log.close()


def test_a_killed_holder_of_the_write_lock_does_not_block_the_others(log: Log) -> None:
    code = (
        "import sys, os\n"
        "from connectors.sqlite_log import SqliteLog\n"
        "log = SqliteLog(sys.argv[1])\n"
        "with log._file.writing() as connection:\n"
        "    connection.execute('DELETE FROM topics')\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, log.url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.append, [NewRecord("ticks", 0, b"0")])
        time.sleep(0.1)
        assert not waiting.done()
        process.kill()
        assert waiting.result(timeout=20) == [0]
    process.communicate()
    log.close()


SYNC_COUNTER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static void note(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n > 4 && strncmp(name + n - 4, "-wal", 4) == 0) dprintf(2, "SYNC\\n");
}
int fsync(int fd) { note(fd); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { note(fd); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
"""
APPEND_TEN = """
import sys
from connectors.log import NewRecord, open_log
log = open_log(sys.argv[1])
log.append([NewRecord("ticks", 0, b"first")])
sys.stderr.write("BEGIN\\n"); sys.stderr.flush()
for number in range(10):
    log.append([NewRecord("ticks", 0, b"0"), NewRecord(sys.argv[2], 0, b"1")])
sys.stderr.write("END\\n"); sys.stderr.flush()
"""


@pytest.mark.parametrize(("topic", "syncs"), [("orders", 10), ("ticks", 0)])
def test_an_append_that_touches_a_synced_topic_syncs_the_wal_and_no_other_does(
    log: Log, tmp_path: Path, topic: str, syncs: int
) -> None:
    source = tmp_path / "count.c"
    source.write_text(SYNC_COUNTER)
    library = tmp_path / "count.so"
    try:
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"],
            check=True,
            capture_output=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C compiler to count syncs with ({error}); install gcc")
    done = subprocess.run(
        [sys.executable, "-c", APPEND_TEN, log.url, topic],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    )
    counted = done.stderr.partition("BEGIN")[2].partition("END")[0].count("SYNC")
    assert counted == syncs
    log.close()


def test_each_transaction_sets_how_it_is_synced(log: SqliteLog) -> None:
    """Where no compiler is there to count syncs: what SQLite is told before each commit."""
    log.append([NewRecord("ticks", 0, b"0")])
    writer = log._file._here.writer
    assert writer is not None
    for topic, level in (("orders", 2), ("ticks", 1), ("orders", 2)):
        log.append([NewRecord("ticks", 0, b"0"), NewRecord(topic, 0, b"1")])
        assert writer.execute("PRAGMA synchronous").fetchone() == (level,)
    log.close()


def test_a_full_disk_is_told_and_leaves_the_log_as_it_was(log: SqliteLog) -> None:
    log.append([NewRecord("ticks", 0, b"0")])
    writer = log._file._here.writer
    assert writer is not None
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(LogError, match="the disk is full: free space"):
        log.append([NewRecord("ticks", 0, b"1"), NewRecord("ticks", 1, bytes(1 << 20))])
    assert len(read_all(log, "ticks", 0)) == 1
    writer.execute(f"PRAGMA max_page_count={pages + 1000}")
    assert log.append([NewRecord("ticks", 0, b"1")]) == [1]
    log.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LogError, match="choose a folder"):
        open_log(f"sqlite:///{tmp_path}/file/log.db")


def test_a_file_that_another_program_holds_is_waited_for_and_then_told(
    log: SqliteLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself tries again, with growing waits; our own programs queue and never meet it."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
    release.start()
    assert log.append([NewRecord("ticks", 0, b"0")]) == [0]
    release.join()
    monkeypatch.setattr("connectors.sqlite_file._BUSY_S", 0.2)
    with SqliteLog(f"sqlite:///{path}") as hasty:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError, match="another program has held it"):
            hasty.append([NewRecord("ticks", 0, b"1")])
        other.execute("ROLLBACK")
        assert hasty.append([NewRecord("ticks", 0, b"2")]) == [1]
    other.close()


def test_a_file_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(LogError, match="another program"):
        open_log(f"sqlite:///{path}")


def test_a_file_that_is_no_database_is_corrupt(path: Path) -> None:
    path.write_bytes(b"not a database, however long" * 1000)
    with pytest.raises(CorruptLogError, match="topics repair"):
        open_log(f"sqlite:///{path}")


def test_a_closed_log_says_so(log: Log) -> None:
    log.close()
    log.close()
    with pytest.raises(LogError, match="it was closed"):
        log.append([NewRecord("ticks", 0, b"0")])


def test_a_log_is_not_closed_under_a_transaction_of_another_thread(log: SqliteLog) -> None:
    """A snapshot's, where its shard ended with an error: SQLite ended the program, and nobody heard of the error."""
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with log._file.writing() as connection:
            begun.set()
            go_on.wait()
            connection.execute("CREATE TABLE late AS SELECT 1")

    with ThreadPoolExecutor(2) as threads:
        written = threads.submit(write)
        begun.wait()
        closed = threads.submit(log.close)
        try:
            with pytest.raises(TimeoutError):
                closed.result(0.2)
            with pytest.raises(LogError, match="it was closed"):
                log.append([NewRecord("ticks", 0, b"0")])
        finally:
            go_on.set()
        written.result()
        closed.result()
    with sqlite3.connect(log.path) as other:
        assert other.execute("SELECT * FROM late").fetchall() == [(1,)]


def test_a_forked_child_has_connections_of_its_own(log: SqliteLog) -> None:
    log.append([NewRecord("ticks", 0, b"parent")])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            log.append([NewRecord("ticks", 0, b"child")])
            own = log._file._here.pid == os.getpid()
            code = 0 if own and len(read_all(log, "ticks")) == 2 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    log.append([NewRecord("ticks", 0, b"parent again")])
    assert [r.value for r in read_all(log, "ticks")] == [b"parent", b"child", b"parent again"]
    log.close()


def test_the_clock_may_step_back_and_append_times_do_not(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([NewRecord("ticks", 0, b"0")])
    (first,) = read_all(log, "ticks")
    monkeypatch.setattr(time, "time_ns", lambda: first.append_time_ns - 10**12)
    log.append([NewRecord("ticks", 0, b"1")])
    log.append([NewRecord("ticks", 1, b"2")])
    assert read_all(log, "ticks")[1].append_time_ns == first.append_time_ns
    assert read_all(log, "ticks", 1)[0].append_time_ns == first.append_time_ns - 10**12
    log.close()


def test_a_commit_has_one_append_time_in_all_its_partitions_whatever_the_clock_does(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair cuts by time: where the clock had stepped back, it could take a half of a commit."""
    log.append([NewRecord("ticks", 0, b"0")])
    (newest,) = read_all(log, "ticks")
    monkeypatch.setattr(time, "time_ns", lambda: newest.append_time_ns - 5_000_000_000)
    log.append(
        [NewRecord("ticks", 1, b"1"), NewRecord("ticks", 0, b"1"), NewRecord("ticks", 1, b"2")]
    )
    times = [record.append_time_ns for p in (0, 1) for record in read_all(log, "ticks", p)]
    assert times == [newest.append_time_ns] * 4


def test_records_below_the_start_are_not_read_after_a_trim_that_was_killed(log: SqliteLog) -> None:
    log.append([NewRecord("ticks", 0, b"%d" % number) for number in range(10)])
    with log._file.writing() as connection:  # the first of a trim's transactions
        connection.execute("UPDATE partitions SET start = 4 WHERE topic = 'ticks'")
    with pytest.raises(LogError, match="older ones were trimmed"):
        log.read("ticks", 0, 3)
    assert [record.offset for record in read_all(log, "ticks")] == [4, 5, 6, 7, 8, 9]
    log.close()


def test_a_topic_deleted_and_made_again_elsewhere_is_a_new_one(log: Log) -> None:
    log.append([NewRecord("ticks", 0, b"old")])
    with open_log(log.url) as other:
        other.delete_topic("ticks")
        other.create_topic(TopicConfig(name="ticks", partitions=1))
        other.append([NewRecord("ticks", 0, b"new")])
    with pytest.raises(UnknownTopicError, match="was deleted"):
        log.read("ticks", 0, 0)
    assert [record.value for record in read_all(log, "ticks")] == [b"new"]
    log.close()


def test_waiting_costs_little(log: Log) -> None:
    """3 % of a core is the aim; the bound leaves room for a slow machine and catches a busy loop."""
    positions = {("ticks", partition): 0 for partition in (0, 1)}
    begun = time.thread_time()
    assert log.wait(positions, 1) is False
    assert time.thread_time() - begun < 0.15
    log.close()


def test_rows_are_stored_as_they_always_were() -> None:
    """Another checksum or header layout would make every older log unreadable."""
    record = NewRecord("ticks", 0, b"value", b"key", (("kind", b"rows"), ("rows", b"10")))
    offset, append_time_ns, key, headers, checksum, value = to_row(
        3, 7, 1_700_000_000 * 10**9, record
    )
    assert (offset, append_time_ns, key, value) == (7, 1_700_000_000 * 10**9, b"key", b"value")
    assert headers == b"\x04\x00kind\x04\x00\x00\x00rows\x04\x00rows\x02\x00\x00\x0010"
    assert checksum == 8422908670082560657
    assert sqlite_file.LAYOUT_VERSION == 1


def test_news_are_the_partitions_that_a_read_would_say_something_of(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path}/log.db") as log:
        for name in ("full", "empty", "trimmed"):
            log.create_topic(TopicConfig(name=name, partitions=2))
        for name in ("full", "full", "trimmed", "trimmed"):
            log.append([NewRecord(topic=name, partition=1, value=b"1")])
        log.trim("trimmed", 1, 2)
        at = {(name, partition): 0 for name in ("full", "empty") for partition in (0, 1)}
        assert set(log.news(at)) == {("full", 1)}
        assert not log.news({("full", 1): 2, ("trimmed", 1): 2, ("empty", 0): 0})
        # A read says that they are outside of the log: to leave them out would be to wait for ever.
        outside = {("full", 1): 3, ("trimmed", 1): 1, ("empty", 0): 1}
        assert set(log.news(outside)) == set(outside)
        for where, offset in outside.items():
            with pytest.raises(TruncatedError):
                log.read(*where, offset)


def test_news_of_more_partitions_than_a_statement_has_columns(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path}/log.db") as log:
        log.create_topic(TopicConfig(name="wide", partitions=1_100))
        for partition in (0, 499, 500, 1_099):
            log.append([NewRecord(topic="wide", partition=partition, value=b"1")])
        found = log.news({("wide", partition): 0 for partition in range(1_100)})
        assert sorted(found) == [("wide", partition) for partition in (0, 499, 500, 1_099)]


def test_news_of_a_deleted_topic_are_an_error_that_names_it(tmp_path: Path) -> None:
    with open_log(f"sqlite:///{tmp_path}/log.db") as log:
        for name in ("kept", "gone"):
            log.create_topic(TopicConfig(name=name, partitions=1))
        with open_log(f"sqlite:///{tmp_path}/log.db") as other:
            other.delete_topic("gone")
        with pytest.raises(UnknownTopicError, match="gone"):
            log.news({("kept", 0): 0, ("gone", 0): 0})
