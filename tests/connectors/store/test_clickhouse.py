"""The embedded store through clickhouse-connect: tables, inserts, and links that find it again."""

import datetime as dt
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, StreamFailureError

from connectors.chdb_address import Address, running_store, store_path
from connectors.chdb_engine import Engine, StoreError
from connectors.chdb_server import run_in_thread
from connectors.clickhouse import (
    StoreLink,
    connect,
    create_tables,
    create_views,
    insert,
)
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from connectors.store_refusals import StoreRefusedError
from schemas.market import TRADES
from schemas.registry import TOPICS
from tests.stores import store_process


def trades(rows: int, *, offset: int = 0) -> pa.Table:
    """Landed rows of one record."""
    times = 1_700_000_000_000_000_000 + np.arange(rows) * 1_000_000
    batch = TRADES.batch(
        {
            "symbol": pa.array([f"S{i % 7}" for i in range(rows)]),
            "venue": ["N"] * rows,
            "ts_event": pa.array(times),
            "ts_recv": pa.array(times + 5),
            "price": 10.0 + np.arange(rows),
            "size": np.full(rows, 100.0),
            "side": pa.array([("buy", None, "sell")[i % 3] for i in range(rows)]),
            "updates_high_low": np.ones(rows, bool),
            "updates_last": np.ones(rows, bool),
            "updates_volume": np.ones(rows, bool),
            "action": ["new"] * rows,
        }
    )
    record = Record("trades", 1, offset, int(times[-1]) + 77, None, (), None)
    return landed_table(TRADES, [Decoded(record, batch)])


def test_parameters_arrive_whatever_they_hold(client: Client) -> None:
    nasty = "a'b\\c\td\ne{f:String}é"
    found = client.query(
        "SELECT {s:String}, {n:Int32}, {d:Array(Int8)}",
        parameters={"s": nasty, "n": -5, "d": [1, 2]},
    )
    assert found.result_rows == [(nasty, -5, [1, 2])]


def test_clickhouse_connect_inserts_and_reads_in_every_way(client: Client) -> None:
    client.command(
        "CREATE TABLE u (id UInt64, s LowCardinality(String), t DateTime64(9, 'UTC'), "
        "x Nullable(Float64)) ENGINE = MergeTree ORDER BY id"
    )
    noon = dt.datetime(2024, 1, 2, 12, tzinfo=dt.UTC)
    done = client.insert(
        "u", [[1, "a", noon, None], [2, "b", noon, 1.5]], column_names=["id", "s", "t", "x"]
    )
    assert done.written_rows == 2
    client.insert_arrow(
        "u",
        pa.table(
            {
                "id": pa.array([3], pa.uint64()),
                "s": pa.array(["c"]).dictionary_encode(),
                "t": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns", "UTC")),
                "x": [2.5],
            }
        ),
    )
    client.insert_df(
        "u", pd.DataFrame({"id": [4], "s": ["d"], "t": [pd.Timestamp(noon)], "x": [3.5]})
    )
    assert client.query("SELECT id, s, x FROM u ORDER BY id").result_rows == [
        (1, "a", None),
        (2, "b", 1.5),
        (3, "c", 2.5),
        (4, "d", 3.5),
    ]
    arrow = client.query_arrow("SELECT t FROM u WHERE id = 3")
    assert arrow.column("t").cast(pa.int64()).to_pylist() == [1_700_000_000_000_000_001]
    assert client.query_df("SELECT id FROM u ORDER BY id")["id"].tolist() == [1, 2, 3, 4]
    assert client.query("SELECT 1 AS a LIMIT 0").column_names == ("a",)


def test_streams_give_all_rows_and_never_end_early_in_silence(client: Client) -> None:
    with client.query_row_block_stream("SELECT number FROM numbers(1000000)") as blocks:
        assert sum(len(block) for block in blocks) == 1_000_000
    with client.query_arrow_stream("SELECT number FROM numbers(300000)") as tables:
        assert sum(table.num_rows for table in tables) == 300_000
    with (
        pytest.raises(StreamFailureError, match="throwIf"),
        client.query_row_block_stream("SELECT throwIf(number = 900000) FROM numbers(1000000)") as b,
    ):
        list(b)


def test_queries_run_while_another_runs_and_while_rows_come_in(
    client: Client, store_url: str
) -> None:
    client.command("CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a")
    slow = threading.Thread(
        target=lambda: client.query(
            "SELECT sleepEachRow(0.5) FROM numbers(6) SETTINGS max_block_size = 1"
        )
    )
    slow.start()
    done = 0
    while slow.is_alive() and done < 50:
        client.insert("t", [[done]], column_names=["a"])
        done += 1
        assert client.query("SELECT count() FROM t").result_rows == [(done,)]
    # Behind one another, the first or the second would have waited for the slow one's end.
    assert done > 4
    slow.join()


def test_every_topic_has_a_table_and_both_can_be_made_twice(client: Client) -> None:
    for _ in range(2):
        create_tables(client)
        create_views(client)
    names = {name for (name,) in client.query("SHOW TABLES").result_rows}
    assert set(TOPICS) <= names


def test_landed_rows_are_read_back_as_they_were(client: Client) -> None:
    create_tables(client)
    rows = trades(1000)
    insert(client, TRADES, rows, "one")
    found = client.query_arrow("SELECT * FROM trades ORDER BY _offset, _row")
    for name in rows.schema.names:
        # ClickHouse's Arrow has its own string and unit types; the values are what counts.
        assert found.column(name).to_pylist() == rows.column(name).to_pylist(), name


def test_the_same_token_again_adds_nothing(client: Client) -> None:
    create_tables(client)
    insert(client, TRADES, trades(1000), "one")
    insert(client, TRADES, trades(1000), "one")
    assert client.command("SELECT count() FROM trades") == 1000
    insert(client, TRADES, trades(1000, offset=1), "two")
    assert client.command("SELECT count() FROM trades") == 2000


def test_a_token_is_known_after_the_store_was_killed(tmp_path: Path) -> None:
    for _ in range(3):
        with (
            store_process(tmp_path) as process,
            connect(f"chdb:///{tmp_path}", in_process=False) as client,
        ):
            create_tables(client)
            insert(client, TRADES, trades(1000), "one")
            assert client.command("SELECT count() FROM trades") == 1000
            process.kill()


@pytest.mark.own_process
def test_a_store_in_this_process_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    url = f"chdb:///{tmp_path / 'store'}"
    with connect(url) as one, connect(url) as other:
        one.command("CREATE TABLE t (a Int8) ENGINE = Memory")
        assert other.command("EXISTS t") == 1
        address = running_store(store_path(url))
        assert address is not None
        assert address.pid == os.getpid()
    assert running_store(store_path(url)) is None
    assert not (tmp_path / "store" / "store.json").exists()


_LEFT_OPEN = """
import sys
from connectors.clickhouse import StoreLink
link = StoreLink(sys.argv[1])
print(link.run(lambda client: client.command("SELECT 1")), flush=True)
"""


@pytest.mark.own_process
def test_a_program_that_closes_nothing_ends_and_leaves_the_folder(tmp_path: Path) -> None:
    """As notebooks do; it hung at its end for ever, and held the folder against every other program."""
    url = f"chdb:///{tmp_path / 'store'}"
    ended = subprocess.run(
        [sys.executable, "-c", _LEFT_OPEN, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("1\n", 0)
    assert not (tmp_path / "store" / "store.json").exists()


@pytest.mark.own_process
def test_a_store_json_of_a_killed_store_is_not_believed(tmp_path: Path) -> None:
    with run_in_thread(tmp_path / "other") as alive:
        (tmp_path / "store").mkdir()
        # The dead store's port may have gone to another one meanwhile.
        note = {"host": alive.host, "port": alive.port, "pid": 1, "url": alive.url}
        (tmp_path / "store" / "store.json").write_text(json.dumps(note))
        assert running_store(tmp_path / "store") is None
        assert running_store((tmp_path / "other").resolve()) == alive


@pytest.mark.own_process
def test_a_second_holder_of_the_files_is_told_who_has_them(
    store_url: str, address: Address
) -> None:
    with pytest.raises(StoreError, match=f"process {address.pid} holds"):
        Engine(store_path(store_url))


@pytest.mark.own_process
def test_a_taken_port_is_an_error_that_says_so(tmp_path: Path, address: Address) -> None:
    with (
        pytest.raises(StoreError, match=f"cannot listen on 127.0.0.1:{address.port}"),
        run_in_thread(tmp_path / "other", port=address.port),
    ):
        pass


def test_a_link_finds_the_store_again_after_a_restart(tmp_path: Path) -> None:
    with StoreLink(f"chdb:///{tmp_path}", patience_s=20) as link:
        with store_process(tmp_path) as process:
            assert link.run(lambda client: client.command("SELECT 1")) == 1
            process.kill()
        with store_process(tmp_path):
            assert link.run(lambda client: client.command("SELECT 2")) == 2


def test_a_link_to_a_store_that_ended_does_not_take_its_files(tmp_path: Path) -> None:
    """Its supervisor starts it again, and would find the files held."""
    with StoreLink(f"chdb:///{tmp_path}", patience_s=0.5) as link:
        with store_process(tmp_path):
            link.run(lambda client: client.command("SELECT 1"))
        with pytest.raises(StoreError, match="not reachable"):
            link.run(lambda client: client.command("SELECT 2"))


def test_an_unreachable_server_is_an_error_that_says_what_to_do() -> None:
    with (
        StoreLink("clickhouse://u:p@127.0.0.1:1/db", patience_s=0.3) as link,
        pytest.raises(StoreError, match=r"not reachable for 0\.3 s.*Start it"),
    ):
        link.run(lambda client: client.command("SELECT 1"))


def test_a_refused_statement_is_not_tried_again(store_url: str) -> None:
    with StoreLink(store_url) as link, pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        link.run(lambda client: client.command("SELECT * FROM nowhere"))


@pytest.mark.parametrize("url", ["mysql://x", "clickhouse:///db", "store"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="it must be like"), connect(url):
        pass


def test_a_url_that_names_no_store_is_not_tried_again() -> None:
    """It was, for a minute, and then told as a store that is not reachable."""
    begun = time.monotonic()
    with StoreLink("mysql://x") as link, pytest.raises(StoreRefusedError, match="it must be like"):
        link.run(lambda client: client.command("SELECT 1"))
    assert time.monotonic() - begun < 5


def test_a_thread_whose_try_failed_leaves_the_client_that_another_has_got_anew(
    store_url: str,
) -> None:
    tries: list[Client] = []
    anew: list[Client] = []

    def beside(client: Client) -> None:
        anew.append(client)
        if len(anew) == 1:
            raise OperationalError("cut")

    def work(client: Client) -> None:
        tries.append(client)
        if len(tries) == 1:
            link.run(beside)  # as another thread would: it leaves the client of both
            assert anew[0] is client is not anew[1]
            raise OperationalError("cut")

    with StoreLink(store_url) as link:
        link.run(work)
    assert tries[1] is anew[1]
