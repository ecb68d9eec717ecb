"""What every topic log promises; each implementation is held to it."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from connectors.log import (
    Log,
    LogError,
    NewRecord,
    Record,
    TopicConfig,
    TruncatedError,
    UnknownTopicError,
    open_log,
)
from tests.connectors.log_reading import read_all, values

ROOT = Path(__file__).resolve().parents[2]

# Another process that appends to a log: url, topic, partition, count, label, records an append.
APPEND = """
import sys
from connectors.log import NewRecord, open_log
url, topic, partition, count, label, batch = sys.argv[1:]
with open_log(url) as log:
    print("open", flush=True)
    sys.stdin.readline()
    for first in range(0, int(count), int(batch)):
        log.append([
            NewRecord(topic, int(partition), f"{label}-{number}".encode())
            for number in range(first, first + int(batch))
        ])
"""


def appender(log_url: str, topic: str, partition: int, **options: object) -> subprocess.Popen[str]:
    """Another process with the log open, which appends once a line is written to it."""
    given = {"count": 1, "label": "x", "batch": 1} | options
    arguments = [log_url, topic, partition, given["count"], given["label"], given["batch"]]
    process = subprocess.Popen(
        [sys.executable, "-c", APPEND, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_new_topic_is_empty_and_starts_at_its_end(log: Log, topic: str) -> None:
    assert log.start(topic, 1) == log.end(topic, 1) == 0
    assert log.last(topic, 1) is None
    chunk = log.read(topic, 1, 0)
    assert chunk.records == ()
    assert chunk.next_offset == 0


def test_a_topic_is_made_once_and_keeps_its_partition_count(log: Log, topic: str) -> None:
    log.create_topic(TopicConfig(name=topic, partitions=2))
    with pytest.raises(LogError, match=r"3 partitions.*2"):
        log.create_topic(TopicConfig(name=topic, partitions=3))
    assert log.topics()[topic].partitions == 2


def test_topics_are_listed_by_name_with_how_they_are_kept(log: Log) -> None:
    prefix = f"test-{uuid4().hex}"
    kept = TopicConfig(name=f"{prefix}.b", partitions=3, retention_ns=86_400 * 10**9, synced=True)
    for config in (kept, TopicConfig(name=f"{prefix}.a", partitions=1)):
        log.create_topic(config)
    ours = {name: config for name, config in log.topics().items() if name.startswith(prefix)}
    assert list(ours) == [f"{prefix}.a", f"{prefix}.b"]
    assert ours[kept.name] == kept
    assert ours[f"{prefix}.a"].retention_ns is None


@pytest.mark.parametrize("value", [b"", None, b"\x00\xff" * 10, bytes(range(256)) * 40_960])
@pytest.mark.parametrize("key", [None, b"", b"AAPL"])
@pytest.mark.parametrize(
    "headers", [(), (("a", b""), ("a", b"\x00\x01"), ("Größe", b"x" * 3000)), (("", b"x"),)]
)
def test_a_record_comes_back_as_it_was_appended(
    log: Log,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    headers: tuple[tuple[str, bytes], ...],
) -> None:
    before = time.time_ns()
    (offset,) = log.append([NewRecord(topic, 1, value, key, headers)])
    after = time.time_ns()
    (record,) = read_all(log, topic, 1)
    assert record == Record(topic, 1, offset, record.append_time_ns, key, headers, value)
    # Kafka's append time has milliseconds.
    assert before - 1_000_000 <= record.append_time_ns <= after + 1_000_000
    assert log.last(topic, 1) == record


def test_order_and_offsets_are_those_of_the_append(log: Log, topic: str) -> None:
    records = [NewRecord(topic, number % 2, b"%d" % number) for number in range(100)]
    offsets = log.append(records)
    for partition in (0, 1):
        back = read_all(log, topic, partition)
        assert values(back) == [r.value for r in records if r.partition == partition]
        assert [record.offset for record in back] == offsets[partition::2]
        assert offsets[partition::2] == sorted(set(offsets[partition::2]))


def test_append_times_never_step_back_within_a_partition(log: Log, topic: str) -> None:
    for number in range(50):
        log.append([NewRecord(topic, 0, b"%d" % number)])
    times = [record.append_time_ns for record in read_all(log, topic, 0)]
    assert times == sorted(times)


def test_an_append_of_nothing_gives_no_offsets(log: Log, topic: str) -> None:
    assert log.append([]) == []
    assert log.end(topic, 0) == 0


def test_a_read_is_bounded_but_gives_at_least_one_record(log: Log, topic: str) -> None:
    log.append([NewRecord(topic, 0, bytes([number]) * 10_000) for number in range(20)])
    one = log.read(topic, 0, 0, max_bytes=1)
    assert len(one.records) >= 1
    some = log.read(topic, 0, one.next_offset, max_bytes=45_000)
    assert 1 <= len(some.records) <= 10
    assert some.records[0].value == bytes([one.next_offset]) * 10_000
    assert len(read_all(log, topic, 0)) == 20


def test_a_read_may_begin_at_any_record_and_at_the_end(log: Log, topic: str) -> None:
    offsets = log.append([NewRecord(topic, 0, b"%d" % number) for number in range(10)])
    assert values(read_all(log, topic, 0, offsets[7])) == [b"7", b"8", b"9"]
    end = log.end(topic, 0)
    chunk = log.read(topic, 0, end)
    assert chunk.records == ()
    assert chunk.next_offset == end


def test_a_read_above_the_end_says_that_records_are_lost(log: Log, topic: str) -> None:
    log.append([NewRecord(topic, 0, b"0")])
    with pytest.raises(TruncatedError, match=topic):
        log.read(topic, 0, log.end(topic, 0) + 1)


def test_trimmed_records_are_gone_and_the_offsets_go_on(log: Log, topic: str) -> None:
    offsets = log.append([NewRecord(topic, 0, b"%d" % number) for number in range(10)])
    log.trim(topic, 0, offsets[4])
    assert log.start(topic, 0) == offsets[4]
    assert values(read_all(log, topic, 0)) == [b"4", b"5", b"6", b"7", b"8", b"9"]
    with pytest.raises(TruncatedError, match=topic):
        log.read(topic, 0, offsets[3])
    end = log.end(topic, 0)
    log.trim(topic, 0, end)
    assert (log.start(topic, 0), log.end(topic, 0)) == (end, end)
    assert log.last(topic, 0) is None
    assert log.append([NewRecord(topic, 0, b"10")]) == [end]


def test_what_is_trimmed_already_stays_trimmed(log: Log, topic: str) -> None:
    offsets = log.append([NewRecord(topic, 0, b"%d" % number) for number in range(10)])
    log.trim(topic, 0, offsets[6])
    log.trim(topic, 0, offsets[2])
    assert log.start(topic, 0) == offsets[6]


def test_an_unknown_topic_or_partition_is_named(log: Log, topic: str) -> None:
    absent = f"absent-{uuid4().hex}"
    for name, partition in ((absent, 0), (topic, 2)):
        for call in (log.start, log.end, log.last):
            with pytest.raises(UnknownTopicError, match=name):
                call(name, partition)
        with pytest.raises(UnknownTopicError, match=name):
            log.read(name, partition, 0)
        with pytest.raises(UnknownTopicError, match=name):
            log.append([NewRecord(name, partition, b"")])
        with pytest.raises(UnknownTopicError, match=name):
            log.trim(name, partition, 0)
        with pytest.raises(UnknownTopicError, match=name):
            log.wait({(name, partition): 0}, 0)
    with pytest.raises(UnknownTopicError, match=absent):
        log.delete_topic(absent)


def test_an_append_to_an_unknown_topic_appends_nothing_elsewhere(log: Log, topic: str) -> None:
    with pytest.raises(UnknownTopicError):
        log.append([NewRecord(topic, 0, b"0"), NewRecord(f"absent-{uuid4().hex}", 0, b"1")])
    assert log.end(topic, 0) == 0


def test_a_deleted_topic_is_gone_for_everyone(log: Log, log_url: str, topic: str) -> None:
    with open_log(log_url) as other:
        log.append([NewRecord(topic, 0, b"0")])
        assert values(read_all(other, topic, 0)) == [b"0"]
        log.delete_topic(topic)
        # The other copy has not looked at the topics since: its append must fail all the same.
        with pytest.raises(UnknownTopicError, match=topic):
            other.append([NewRecord(topic, 0, b"1")])
        for each in (log, other):
            assert topic not in each.topics()
            with pytest.raises(UnknownTopicError, match=topic):
                each.read(topic, 0, 0)
            with pytest.raises(UnknownTopicError, match=topic):
                each.append([NewRecord(topic, 0, b"1")])


def test_a_topic_made_by_another_copy_is_seen(log: Log, log_url: str) -> None:
    name = f"test-{uuid4().hex}"
    with open_log(log_url) as other:
        other.create_topic(TopicConfig(name=name, partitions=1))
        other.append([NewRecord(name, 0, b"0")])
    assert values(read_all(log, name, 0)) == [b"0"]


def test_wait_gives_up_after_its_time(log: Log, topic: str) -> None:
    begun = time.perf_counter()
    assert log.wait({(topic, 0): 0, (topic, 1): 0}, 0.2) is False
    assert 0.15 < time.perf_counter() - begun < 2


def test_wait_returns_at_once_where_there_is_something(log: Log, topic: str) -> None:
    log.append([NewRecord(topic, 1, b"0")])
    begun = time.perf_counter()
    assert log.wait({(topic, 0): 0, (topic, 1): 0}, 20) is True
    assert time.perf_counter() - begun < 10


def test_wait_is_ended_by_another_process(log: Log, log_url: str, topic: str) -> None:
    process = appender(log_url, topic, 1)
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(log.wait, {(topic, 0): 0, (topic, 1): 0}, 30)
            time.sleep(0.1)
            assert not waiting.done()
            go(process)
            assert waiting.result() is True
    finally:
        finish(process)
    assert values(read_all(log, topic, 1)) == [b"x-0"]


def test_wait_is_not_ended_by_another_partition(log: Log, topic: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.wait, {(topic, 0): 0}, 0.5)
        log.append([NewRecord(topic, 1, b"0")])
        assert waiting.result() is False


def test_news_leaves_out_no_partition_that_has_something_new(log: Log, topic: str) -> None:
    first, second = (topic, 0), (topic, 1)
    (offset,) = log.append([NewRecord(topic, 1, b"0")])
    assert second in log.news({first: 0, second: offset})
    log.append([NewRecord(topic, 0, b"0")])
    assert log.news({second: offset, first: 0}) == [second, first]
    assert log.news({}) == []


def test_processes_and_threads_that_append_at_once_lose_nothing(
    log: Log, log_url: str, topic: str
) -> None:
    processes = [
        appender(log_url, topic, 0, count=300, label=f"p{number}", batch=3) for number in range(3)
    ]
    for process in processes:
        go(process)

    def of_thread(label: str) -> list[int]:
        return [
            log.append([NewRecord(topic, 0, f"{label}-{number}".encode())])[0]
            for number in range(100)
        ]

    with ThreadPoolExecutor(2) as pool:
        offsets = list(pool.map(of_thread, ["t0", "t1"]))
    for process in processes:
        finish(process)
    records = read_all(log, topic, 0)
    counts = {"p0": 300, "p1": 300, "p2": 300, "t0": 100, "t1": 100}
    for label, count in counts.items():
        of_label = [r.value for r in records if (r.value or b"").startswith(f"{label}-".encode())]
        assert of_label == [f"{label}-{number}".encode() for number in range(count)]
    assert len(records) == sum(counts.values())
    by_offset = {record.offset: record.value for record in records}
    assert [by_offset[offset] for offset in offsets[1]] == [b"t1-%d" % n for n in range(100)]


def test_a_log_opened_again_has_what_was_appended(log: Log, log_url: str, topic: str) -> None:
    log.append([NewRecord(topic, 0, b"kept")])
    log.close()
    with open_log(log_url) as again:
        assert values(read_all(again, topic, 0)) == [b"kept"]
        assert again.url == log_url


def test_a_url_of_no_log_says_what_is_needed() -> None:
    with pytest.raises(LogError, match="sqlite or kafka"):
        open_log("postgres://x")
