"""What every log's writers promise: commits whole, numbered, and fenced."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from connectors.log import (
    FencedError,
    Log,
    NewRecord,
    TopicConfig,
    UnknownTopicError,
    open_log,
)
from tests.connectors.log_reading import read_all, values


def test_commits_are_numbered_and_reach_several_topics(log: Log, topic: str) -> None:
    second = f"{topic}.second"
    log.create_topic(TopicConfig(name=second, partitions=1))
    with log.writer(f"w-{topic}") as writer:
        assert writer.number == 0
        first = writer.commit([NewRecord(topic, 0, b"a"), NewRecord(second, 0, b"b")], 1)
        assert writer.number == 1
        again = writer.commit([NewRecord(topic, 0, b"c"), NewRecord(topic, 1, b"d")], 2)
        assert writer.number == 2
    assert values(read_all(log, topic, 0)) == [b"a", b"c"]
    assert [record.offset for record in read_all(log, topic, 0)] == [first[0], again[0]]
    assert values(read_all(log, topic, 1)) == [b"d"]
    assert values(read_all(log, second, 0)) == [b"b"]


def test_the_last_number_survives_the_writer(log: Log, log_url: str, topic: str) -> None:
    with log.writer(f"w-{topic}") as writer:
        writer.commit([NewRecord(topic, 0, b"a")], 1)
        writer.commit([NewRecord(topic, 0, b"b")], 2)
    with open_log(log_url) as other, other.writer(f"w-{topic}") as writer:
        assert writer.number == 2
        writer.commit([NewRecord(topic, 0, b"c")], 3)
    assert values(read_all(log, topic, 0)) == [b"a", b"b", b"c"]


@pytest.mark.parametrize("wrong", [0, 1, 3, -1])
def test_a_commit_that_is_not_the_next_one_is_fenced(log: Log, topic: str, wrong: int) -> None:
    with log.writer(f"w-{topic}") as writer:
        writer.commit([NewRecord(topic, 0, b"a")], 1)
        with pytest.raises(FencedError, match=f"w-{topic}"):
            writer.commit([NewRecord(topic, 0, b"wrong")], wrong)
        assert writer.number == 1
    assert values(read_all(log, topic, 0)) == [b"a"]


def test_a_newer_copy_of_a_writer_fences_the_older(log: Log, log_url: str, topic: str) -> None:
    with log.writer(f"w-{topic}") as old, open_log(log_url) as other:
        old.commit([NewRecord(topic, 0, b"a")], 1)
        with other.writer(f"w-{topic}") as new:
            with pytest.raises(FencedError, match=f"w-{topic}"):
                old.commit([NewRecord(topic, 0, b"old")], 2)
            new.commit([NewRecord(topic, 0, b"b")], 2)
            with pytest.raises(FencedError, match=f"w-{topic}"):
                old.commit([NewRecord(topic, 0, b"old")], 3)
    assert values(read_all(log, topic, 0)) == [b"a", b"b"]


def test_writers_of_other_names_are_left_alone(log: Log, topic: str) -> None:
    with log.writer(f"w1-{topic}") as one, log.writer(f"w2-{topic}") as two:
        one.commit([NewRecord(topic, 0, b"1")], 1)
        two.commit([NewRecord(topic, 0, b"2")], 1)
        one.commit([NewRecord(topic, 0, b"3")], 2)
    assert values(read_all(log, topic, 0)) == [b"1", b"2", b"3"]


def test_a_commit_with_an_unknown_topic_appends_nothing_and_does_not_count(
    log: Log, topic: str
) -> None:
    with log.writer(f"w-{topic}") as writer:
        absent = NewRecord(f"absent-{uuid4().hex}", 0, b"")
        with pytest.raises(UnknownTopicError):
            writer.commit([NewRecord(topic, 0, b"half"), absent], 1)
        assert writer.number == 0
        writer.commit([NewRecord(topic, 0, b"whole")], 1)
    assert values(read_all(log, topic, 0)) == [b"whole"]


def test_a_read_at_the_end_after_commits_waits_for_nothing(log: Log, topic: str) -> None:
    """Offsets may have gaps where a transaction ended: the end must still be reachable by reading."""
    with log.writer(f"w-{topic}") as writer:
        for number in range(1, 6):
            writer.commit([NewRecord(topic, 0, b"%d" % number)], number)
    assert values(read_all(log, topic, 0)) == [b"1", b"2", b"3", b"4", b"5"]
    last = log.last(topic, 0)
    assert last is not None
    assert last.value == b"5"
    end = log.end(topic, 0)
    assert last.offset < end
    assert log.wait({(topic, 0): end}, 0.05) is False


def test_a_reader_sees_whole_commits_only(log: Log, log_url: str, topic: str) -> None:
    def commit_all() -> None:
        with open_log(log_url) as other, other.writer(f"w-{topic}") as writer:
            for number in range(1, 41):
                writer.commit([NewRecord(topic, 0, b"%d" % number)] * 25, number)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(commit_all)
        at, seen = 0, 0
        while seen < 1000:
            assert log.wait({(topic, 0): at}, 30)
            chunk = log.read(topic, 0, at)
            at = chunk.next_offset
            seen += len(chunk.records)
            assert seen % 25 == 0
        running.result()
