"""A run's log: writes go to topics of the run, everything else is read through, live is never written."""

import pytest

from connectors.log import Log, LogError, NewRecord, TopicConfig
from connectors.run_log import RunLog, check_run_name, run_names, topics_of_run


@pytest.fixture
def live(sqlite_log: Log) -> Log:
    for name in ("trades", "bars"):
        sqlite_log.create_topic(TopicConfig(name=name, partitions=2))
        sqlite_log.append([NewRecord(name, 0, f"{name} {at}".encode()) for at in range(5)])
    return sqlite_log


@pytest.fixture
def run(live: Log) -> RunLog:
    return RunLog("trial", live, live, {"bars", "_progress.bars"})


def values(log: Log, topic: str, offset: int = 0) -> list[bytes | None]:
    return [record.value for record in log.read(topic, 0, offset).records]


def test_a_topic_of_the_run_hides_the_live_one_and_others_are_read_through(
    live: Log, run: RunLog
) -> None:
    assert list(run.topics()) == ["trades"]
    run.create_topic(TopicConfig(name="bars", partitions=1))
    assert run.append([NewRecord("bars", 0, b"other")]) == [0]
    assert values(run, "bars") == [b"other"]
    assert run.read("bars", 0, 0).records[0].topic == "bars"
    assert values(run, "trades") == values(live, "trades")
    assert run.topics()["bars"].partitions == 1
    assert (run.end("bars", 0), live.end("bars", 0)) == (1, 5)
    assert values(live, "run.trial.bars") == [b"other"]


def test_nothing_live_can_be_written_by_any_way(live: Log, run: RunLog) -> None:
    with run.writer("bars/0") as writer, pytest.raises(LogError, match="trades of the live log"):
        writer.commit([NewRecord("trades", 0, b"x")], 1)
    for write in (
        lambda: run.append([NewRecord("trades", 0, b"x")]),
        lambda: run.create_topic(TopicConfig(name="new", partitions=1)),
        lambda: run.trim("trades", 0, 3),
        lambda: run.delete_topic("trades"),
    ):
        with pytest.raises(LogError, match="writes topics of its run only"):
            write()
    assert (live.start("trades", 0), live.end("trades", 0)) == (0, 5)


def test_writers_of_a_run_are_fenced_apart_from_the_live_ones(live: Log, run: RunLog) -> None:
    run.create_topic(TopicConfig(name="bars", partitions=1))
    with live.writer("bars/0") as of_live, run.writer("bars/0") as of_run:
        of_run.commit([NewRecord("bars", 0, b"x")], 1)
        of_live.commit([NewRecord("bars", 0, b"y")], 1)
        assert (of_run.number, of_live.number) == (1, 1)


def test_live_partitions_begin_and_end_where_the_run_s_do(run: RunLog) -> None:
    run.begins["trades", 0] = 1
    run.ends["trades", 0] = 3
    assert (run.start("trades", 0), run.end("trades", 0)) == (1, 3)
    chunk = run.read("trades", 0, 2)
    assert ([record.offset for record in chunk.records], chunk.next_offset) == ([2], 3)
    assert run.read("trades", 0, 3).next_offset == 3
    assert not run.wait({("trades", 0): 3}, 0.01)
    assert run.wait({("trades", 0): 2}, 0.01)


def test_a_run_alone_has_its_topics_only(live: Log, run: RunLog) -> None:
    run.create_topic(TopicConfig(name="bars", partitions=1))
    assert list(RunLog("trial", live).topics()) == ["bars"]
    assert run_names(live) == ["trial"]
    assert list(topics_of_run(live, "trial")) == ["bars"]
    assert topics_of_run(live, "tri") == {}


@pytest.mark.parametrize(
    "name", ["live", "bars", "Trial", "1st", "a-b", "a.b", "a/b", "", "a_", "a" * 41]
)
def test_a_name_that_not_everything_can_be_called_by_is_refused(name: str) -> None:
    with pytest.raises(LogError, match="run "):
        check_run_name(name, ["bars"])


def test_a_good_name_is_taken() -> None:
    assert check_run_name("trial_2", ["bars"]) == "trial_2"
