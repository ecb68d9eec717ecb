"""`tapeflow.open()`: SQL, the lake, the log and replays, as a notebook has them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tapeflow
from connectors.feeds.simulate import SimulateOptions, simulate
from connectors.feeds.simulator import SimulatorOptions
from connectors.lander import Lander
from connectors.log import LogError, open_log
from connectors.parquet import LakeError
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.flow import FlowError
from serving.settings import Settings
from serving.sql import SqlError
from tests.stores import store_process


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A platform with 5,000 simulated rows, bars, all of it landed, and its store running."""
    settings = Settings(home=tmp_path_factory.mktemp("desk"))
    with open_log(settings.log) as log:
        create_topics(log, 2)
        simulate(log, SimulatorOptions(seed=3, symbols=5), SimulateOptions(rows=5_000))
        run_until_end(log, [Bars])
        with store_process(settings.home / "store"):
            with Lander(log, settings.store, settings.lake_path) as lander:
                lander.run_until_end()
            yield settings.home


@pytest.fixture
def desk(home: Path) -> Iterator[tapeflow.Desk]:
    with tapeflow.open(home) as opened:
        yield opened


def test_store_lake_and_log_tell_the_same_rows(desk: tapeflow.Desk) -> None:
    order = ["_partition", "_offset", "_row"]
    log = desk.rows("trades").sort(order)
    lake = desk.scan("trades").drop("date").collect().sort(order)
    store = desk.sql("SELECT * FROM trades ORDER BY _partition, _offset, _row")
    assert log.height > 500
    for name in log.columns:
        told = [
            (frame[name].cast(pl.String) if frame[name].dtype == pl.Categorical else frame[name])
            for frame in (log, lake, store)
        ]
        assert told[0].to_list() == told[1].to_list() == told[2].to_list(), name


def test_a_filter_on_the_date_leaves_other_folders_unread(desk: tapeflow.Desk) -> None:
    dates = desk.scan("trades").select(pl.col("date").unique()).collect()["date"].to_list()
    plan = desk.scan("trades").filter(pl.col("date") < min(dates)).select(pl.len())
    assert plan.collect().item() == 0


def test_sql_takes_parameters_and_tells_clickhouse_s_refusal(desk: tapeflow.Desk) -> None:
    symbol = desk.sql("SELECT min(symbol) AS symbol FROM trades").item()
    found = desk.sql(
        "SELECT count() AS n FROM trades WHERE symbol = {symbol:String}", symbol=symbol
    )
    assert found["n"].item() == desk.rows("trades").filter(pl.col("symbol") == symbol).height
    with pytest.raises(SqlError, match="UNKNOWN_TABLE"):
        desk.sql("SELECT * FROM no_such_table")


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("UInt32", 5_000_000_000, "5000000000: UInt32 goes from 0 to 4294967295"),
        ("Int64", 1 << 63, "9223372036854775808: Int64 goes from -9223372036854775808 to"),
        ("Nullable(Int8)", -129, "-129: Int8 goes from -128 to 127"),
        ("Array(UInt8)", [255, 256], "256: UInt8 goes from 0 to 255"),
    ],
)
def test_a_whole_number_beyond_its_type_is_refused(
    desk: tapeflow.Desk, kind: str, given: object, told: str
) -> None:
    """ClickHouse takes it modulo the width: 5,000,000,000 was 705,032,704."""
    with pytest.raises(SqlError, match=f"most is {told}"):
        desk.sql(f"SELECT {{most: {kind}}} AS most", most=given)


def test_a_whole_number_at_the_end_of_its_type_is_taken(desk: tapeflow.Desk) -> None:
    statement = "SELECT {low:Int8} AS low, {high:UInt64} AS high"
    found = desk.sql(statement, low=-128, high=np.uint64(2**64 - 1))
    assert found.row(0) == (-128, 2**64 - 1)


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE TABLE trades",
        "drop table trades",
        "SELECT 1; TRUNCATE TABLE trades",
        "SELECT 1 PARALLEL WITH TRUNCATE TABLE trades",
        "WITH 1 AS x INSERT INTO trades (price) SELECT x",
        " ;",
        "",
    ],
)
def test_a_statement_that_writes_is_refused_and_not_run(
    desk: tapeflow.Desk, statement: str
) -> None:
    """A desk reads. It emptied the table, and said that a file is too small."""
    before = desk.sql("SELECT count() AS n FROM trades").item()
    with pytest.raises(SqlError, match="a statement that reads is needed here"):
        desk.sql(statement)
    assert desk.sql("SELECT count() AS n FROM trades").item() == before > 0


def test_a_replay_gives_the_live_rows_and_other_parameters_give_others(desk: tapeflow.Desk) -> None:
    live = desk.rows("bars").drop(["_partition", "_offset", "_row", "_appended"])
    order = ["symbol", "interval", "ts_event"]
    again = desk.replay("bars")["bars"]
    assert live.height > 0
    assert again.sort(order).equals(live.sort(order))
    other = desk.replay("bars", intervals=["2s"])["bars"]
    assert other["interval"].cast(pl.String).unique().to_list() == ["2s"]


def test_the_tail_ends_at_the_present_end_or_at_the_limit(desk: tapeflow.Desk) -> None:
    told = desk.tail("trades", beginning=True)
    rows = [row for row in told if "_watermark" not in row]
    assert len(rows) == desk.rows("trades").height
    assert [row["symbol"] for row in desk.tail("trades", beginning=True, limit=3)] == [
        row["symbol"] for row in rows[:3]
    ]
    stop = threading.Event()
    stop.set()
    assert list(desk.tail("trades", stop=stop)) == []


def test_a_tail_of_no_rows_ends_at_once_and_one_of_fewer_is_refused(desk: tapeflow.Desk) -> None:
    """Without new rows the first waited for ever, and the second gave all there were."""
    assert list(desk.tail("trades", limit=0)) == []
    with pytest.raises(ValueError, match="limit is -1: 0 or more is needed"):
        desk.tail("trades", beginning=True, limit=-1)


@pytest.mark.parametrize(
    ("ask", "error", "told"),
    [
        (lambda desk: desk.scan("indicators"), LakeError, "nothing of 'indicators' is there yet"),
        (lambda desk: desk.scan("nothing"), LogError, "no topic 'nothing'; there are"),
        (lambda desk: desk.rows("nothing"), LogError, "no topic 'nothing'; there are"),
        (lambda desk: desk.replay("nothing"), FlowError, "no flow 'nothing'; there are"),
        (lambda desk: desk.replay("bars", interval="1m"), FlowError, "interval"),
    ],
)
def test_what_is_not_there_is_told(
    desk: tapeflow.Desk, ask: object, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        ask(desk)
