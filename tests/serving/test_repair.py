"""A log that lost its newest records: told, mended with --yes, and then everything starts again and is whole."""

import shutil
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from connectors.clickhouse import StoreLink
from connectors.control import control_value
from connectors.feeds.options import FeedOptions
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.feeds.source import FeedError
from connectors.lake_lock import sole_lander
from connectors.lander import Lander
from connectors.landing_faults import LandingError
from connectors.landing_loss import LostTailError, record_mending
from connectors.log import CorruptLogError, Log, LogError, open_log
from connectors.records import Partitioner
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.compare import compare
from flows.engines.local import run_until_end
from flows.indicators import Indicators
from serving.audit import audit
from serving.repair import mend_sinks, repair
from serving.settings import Settings
from tests.connectors.corrupting import corrupt
from tests.connectors.landing_rows import append_trades
from tests.stores import store_process

NOW_NS = 1_767_268_800_000_000_000
FLOWS = [Bars, Indicators]
START_MS = 34_200_000
Lines = list[str]


def trades(first: int) -> Lines:
    return [
        f"{START_MS + ms},{1750000 + ms % 7 * 100},100,P,1,0"
        for ms in range(first, first + 60_000, 150)
    ]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    found = Settings(home=tmp_path / "home")
    with store_process(tmp_path / "home" / "store"):
        yield found


@pytest.fixture
def taq(tmp_path: Path) -> Callable[[str, Lines], Path]:
    """A TAQ file of a symbol's trades."""

    def write(symbol: str, lines: Lines) -> Path:
        path = tmp_path / "taq" / symbol / "20131007_trade.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"20131007_{symbol}_Trade.csv", "\n".join([*lines, ""]))
        return path

    return write


def land(log: Log, settings: Settings) -> None:
    with Lander(log, settings.store, settings.lake_path) as lander:
        lander.run_until_end()


def work(settings: Settings, *paths: Path) -> None:
    """Feed files, run flows and land, as the programs do: a commit for each file."""
    options = FeedOptions(
        clock=Clock(now_ns=lambda: NOW_NS, sleep=lambda _: None), ts_recv="event", batch_rows=50
    )
    with open_log(settings.log) as log:
        create_topics(log, 2)
        for path in paths:
            # After a repair, what is there whole needs no feeding.
            with suppress(FeedError):
                feed(log, [path], options)
            run_until_end(log, FLOWS)
        land(log, settings)


def assert_whole(settings: Settings) -> None:
    with open_log(settings.log) as log:
        checks = audit(log, settings.store, settings.lake_path)
        assert [check for check in checks if not check.ok] == []
        assert any("clickhouse" in check.claim and check.left for check in checks)


def counted(settings: Settings, table: str) -> int:
    with StoreLink(settings.store) as link:
        return int(link.run(lambda client: client.command(f"SELECT count() FROM {table}")))


def mend(settings: Settings) -> list[str]:
    """What a look says, then what the repair says."""
    told: list[str] = []
    before = Path(settings.log.removeprefix("sqlite:///")).read_bytes()
    assert repair(settings, yes=False, tell=told.append)
    assert told[-1] == "nothing was changed: --yes does it"
    assert Path(settings.log.removeprefix("sqlite:///")).read_bytes() == before
    assert repair(settings, yes=True, tell=told.append)
    again: list[str] = []
    assert not repair(settings, yes=False, tell=again.append)
    assert again == ["nothing to mend"]
    return told


def path_of(settings: Settings) -> Path:
    return Path(settings.log.removeprefix("sqlite:///"))


def test_an_older_copy_of_the_log_put_back_is_found_out_and_mended(
    settings: Settings, taq: Callable[[str, Lines], Path]
) -> None:
    """The log fits together; ClickHouse and the lake are ahead of it."""
    first, second = taq("aig", trades(0)), taq("ibm", trades(0))
    work(settings, first)
    shutil.copy(path_of(settings), path_of(settings).with_name("older"))
    work(settings, second)
    wanted = {table: counted(settings, table) for table in ("trades", "bars")}
    path_of(settings).with_name("older").replace(path_of(settings))
    with pytest.raises(LostTailError, match=r"has lost its newest records.*topics repair"):
        work(settings, taq("bac", trades(0)))
    told = "\n".join(mend(settings))
    assert "ClickHouse stands at offset" in told
    assert "the lake stands at offset" in told
    assert counted(settings, "trades") < wanted["trades"]
    work(settings, second)
    assert counted(settings, "trades") == wanted["trades"] + len(trades(0))
    assert_whole(settings)


@pytest.mark.parametrize("topic", ["trades", "bars", "_progress.bars", "_feeds"])
def test_a_partition_that_lost_its_end_takes_with_it_what_was_made_of_that_and_no_more(
    settings: Settings, taq: Callable[[str, Lines], Path], topic: str
) -> None:
    paths = [taq(name, trades(0)) for name in ("aig", "ibm", "bac", "ge", "csco")]
    work(settings, *paths)
    with open_log(settings.log) as log:
        ends = {p: log.end(topic, p) for p in range(log.topics()[topic].partitions)}
        partition = max(ends, key=lambda one: ends[one])
        lost_from = ends[partition] - 2
    connection = sqlite3.connect(path_of(settings))
    (number,) = connection.execute(
        "SELECT id FROM partitions WHERE topic = ? AND partition = ?", (topic, partition)
    ).fetchone()
    connection.execute(f"DELETE FROM records_{number} WHERE record_offset >= ?", (lost_from,))
    connection.commit()
    connection.close()
    told = mend(settings)
    assert any(line.startswith("mended; the old file is") for line in told)
    with open_log(settings.log) as log:
        assert log.end(topic, partition) <= lost_from
        # Two of five files were committed after it at most.
        assert log.end("trades", 0) + log.end("trades", 1) > 0
    work(settings, *paths)
    assert_whole(settings)
    assert counted(settings, "trades") == len(paths) * len(trades(0))


@pytest.mark.parametrize("bad", [(0,), (0, 2)], ids=["the first", "the first and another"])
def test_damage_among_a_flows_older_progress_costs_nothing_but_that(
    settings: Settings, taq: Callable[[str, Lines], Path], bad: tuple[int, ...]
) -> None:
    """The newest says where the flow stands: rows that were fed, and made of them, stay, and it goes on from there."""
    names = [name for name in map("S{}".format, range(20)) if Partitioner(2).of(name) == 0]
    *paths, more = [taq(name, trades(0)) for name in names[:5]]
    for path in paths:
        work(settings, path)
    places = [(t, p) for t in ("trades", "bars", "indicators") for p in (0, 1)]
    with open_log(settings.log) as log:
        ends = {place: log.end(*place) for place in places}
        newest = log.end("_progress.bars", 0)
    for offset in bad:
        corrupt(path_of(settings), "_progress.bars", offset)
    told = mend(settings)
    assert told[0].startswith(
        f"_progress.bars[0]: removed its oldest offsets, 0 to {max(bad)}: the"
    )
    assert not any("to be removed" in line for line in told)
    with open_log(settings.log) as log:
        assert {place: log.end(*place) for place in places} == ends
        assert log.start("_progress.bars", 0) == max(bad) + 1
        assert log.end("_progress.bars", 0) == newest
    work(settings, more)
    assert_whole(settings)
    assert counted(settings, "trades") == 5 * len(trades(0))
    with open_log(settings.log) as log:
        assert all(one.identical for kind in FLOWS for one in compare(log, kind, 0))


def test_progress_that_a_flow_cannot_start_with_is_cut_at_its_end(
    settings: Settings, taq: Callable[[str, Lines], Path]
) -> None:
    """What the newest record refers to is damaged: what was made since goes, and is made again."""
    name = next(name for name in map("S{}".format, range(20)) if Partitioner(2).of(name) == 0)
    path = taq(name, trades(0))
    work(settings, path)
    with open_log(settings.log) as log:
        record = log.last("_progress.bars", 0)
        assert record is not None
        checkpoint = control_value(record)["checkpoint"]
    corrupt(path_of(settings), "_progress.bars", checkpoint)
    told = mend(settings)
    assert any(line.startswith("_progress.bars[0]: removed offsets") for line in told)
    work(settings, path)
    assert_whole(settings)
    assert counted(settings, "trades") == len(trades(0))


def test_a_log_without_loss_is_left_alone(
    settings: Settings, taq: Callable[[str, Lines], Path]
) -> None:
    work(settings, taq("aig", trades(0)))
    told: list[str] = []
    assert not repair(settings, yes=True, tell=told.append)
    assert told == ["nothing to mend"]


def test_a_log_in_use_is_not_touched(settings: Settings, sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    here = settings.model_copy(update={"log": sqlite_log.url})
    with pytest.raises(LogError, match="a program has it open"):
        repair(here, yes=True, tell=lambda _: None)


def test_a_repair_that_was_killed_before_the_sinks_is_to_be_done_again(
    settings: Settings, taq: Callable[[str, Lines], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = taq("aig", trades(0)), taq("ibm", trades(0))
    work(settings, first)
    shutil.copy(path_of(settings), path_of(settings).with_name("older"))
    work(settings, second)
    path_of(settings).with_name("older").replace(path_of(settings))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("serving.repair.remove_excess", killed)
        with pytest.raises(KeyboardInterrupt):
            repair(settings, yes=True, tell=lambda _: None)
    with pytest.raises(LostTailError, match="begun and not finished"):
        work(settings, second)
    assert repair(settings, yes=True, tell=lambda _: None)
    work(settings)
    assert_whole(settings)


def test_offsets_that_others_have_taken_are_not_said_to_be_mended(settings: Settings) -> None:
    """A partition of Kafka loses its end alone: the lander's records go on saying that it landed."""
    with open_log(settings.log) as log, StoreLink(settings.store) as link:
        create_topics(log, 1)
        append_trades(log, 1, 10)
        land(log, settings)
        end = log.end("trades", 0)
        connection = sqlite3.connect(path_of(settings))
        (number,) = connection.execute(
            "SELECT id FROM partitions WHERE topic = 'trades'"
        ).fetchone()
        connection.execute(f"DELETE FROM records_{number} WHERE record_offset >= ?", (end - 3,))
        connection.commit()
        connection.close()
        append_trades(log, 2, 10)
        assert log.end("trades", 0) > end
        told: list[str] = []
        with pytest.raises(LogError, match="where others have their offsets now"):
            mend_sinks(settings, log, link, yes=True, tell=told.append)
        assert any("others have taken the offsets of lost records" in line for line in told)


def test_sinks_are_not_mended_while_a_lander_writes_them(settings: Settings) -> None:
    with open_log(settings.log) as log, StoreLink(settings.store) as link:
        create_topics(log, 1)
        append_trades(log, 1, 10)
        land(log, settings)
        record_mending(log)
        with (
            sole_lander(settings.lake_path),
            pytest.raises(LandingError, match="another copy of the lander writes it"),
        ):
            mend_sinks(settings, log, link, yes=True, tell=lambda _: None)
        assert mend_sinks(settings, log, link, yes=True, tell=lambda _: None)
        land(log, settings)


def test_a_file_of_the_lake_that_cannot_be_read_is_named_before_anything_is_mended(
    settings: Settings,
) -> None:
    with open_log(settings.log) as log:
        create_topics(log, 1)
        append_trades(log, 1, 10)
        land(log, settings)
    (path,) = (settings.lake_path / "_control" / "trades").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CorruptLogError, match=path.name):
        repair(settings, yes=True, tell=lambda _: None)


def test_where_the_clock_stepped_back_what_was_made_of_what_goes_goes_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Indicators of bars that a repair took away had an earlier append time, and stayed behind."""
    hour_s = 3_600
    with open_log(settings.log) as log:
        create_topics(log, 1)
        for ahead_s in (0, 3 * hour_s):
            append_trades(log, ahead_s, 10)
            # The clock runs ahead while bars are computed, and is put right afterwards.
            with monkeypatch.context() as patch:
                time_ns = time.time_ns() + 2 * ahead_s * 10**9
                patch.setattr("connectors.sqlite_append.time.time_ns", lambda at=time_ns: at)
                run_until_end(log, [Bars])
            run_until_end(log, [Indicators])
        land(log, settings)
        lost = log.end("trades", 0) - 5
    corrupt(path_of(settings), "trades", lost)
    mend(settings)
    with open_log(settings.log) as log:
        run_until_end(log, FLOWS)
        append_trades(log, 7, 10)
        run_until_end(log, FLOWS)
        land(log, settings)
        assert all(one.identical for kind in FLOWS for one in compare(log, kind, 0))
    assert_whole(settings)
