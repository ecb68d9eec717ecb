"""The embedded store through ClickHouse's own clients: clickhouse-connect, curl, and plain HTTP."""

import datetime as dt
import gzip
import http.client
import json
import os
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import clickhouse_connect
import lz4.frame
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from connectors.chdb_engine import Engine, StoreError
from connectors.chdb_server import Address, run_in_thread, running_store
from connectors.clickhouse import (
    StoreLink,
    connect,
    create_tables,
    create_views,
    insert,
    store_path,
)
from connectors.landed import Decoded, landed_table
from connectors.log import Record
from schemas.market import TRADES
from schemas.registry import TOPICS
from tests.stores import store_process


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store for the whole module: tables are dropped after each test."""
    path = tmp_path_factory.mktemp("clickhouse") / "store"
    with store_process(path):
        yield f"chdb:///{path}"


@pytest.fixture(autouse=True)
def no_tables_are_left(store_url: str) -> Iterator[None]:
    yield
    with connect(store_url) as client:
        for (name,) in client.query("SHOW TABLES").result_rows:
            client.command(f"DROP TABLE {name} SYNC")


@pytest.fixture
def client(store_url: str) -> Iterator[Client]:
    with connect(store_url) as client:
        yield client


@pytest.fixture
def address(store_url: str) -> Address:
    address = running_store(store_path(store_url))
    assert address is not None
    return address


def curl(*arguments: str, data: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower-case names) and body."""
    command = [
        "curl",
        "-s",
        "-i",
        *(["--data-binary", "@-"] if data is not None else []),
        *arguments,
    ]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {k.lower(): v for k, v in headers.items()}, body


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


def test_ping_and_root_answer_ok_as_clickhouse_does(address: Address) -> None:
    for path in ("/ping", "/", "/replicas_status"):
        assert curl(address.url + path)[2] == b"Ok.\n"


def test_a_query_may_come_in_the_url_or_in_the_body_or_in_both(address: Address) -> None:
    assert curl(address.url + "/?query=SELECT%201")[2] == b"1\n"
    assert curl(address.url, data=b"SELECT 2")[2] == b"2\n"
    assert curl(address.url + "/?query=SELECT%203%20%2B", data=b"4")[2] == b"7\n"


def test_format_comes_from_the_statement_then_from_the_parameter(address: Address) -> None:
    status, headers, body = curl(address.url + "/?default_format=CSV", data=b"SELECT 1, 'a'")
    assert (status, body, headers["x-clickhouse-format"]) == (200, b'1,"a"\n', "CSV")
    _, headers, body = curl(address.url + "/?default_format=CSV", data=b"SELECT 1 AS x FORMAT JSON")
    assert json.loads(body)["data"] == [{"x": 1}]
    assert headers["content-type"].startswith("application/json")
    assert headers["x-clickhouse-format"] == "JSON"


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("zstd", zstandard.compress),
        ("lz4", lz4.frame.compress),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
    ],
)
def test_bodies_are_taken_in_every_content_encoding(
    address: Address, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    curl(address.url, data=b"CREATE TABLE t (a Int32, b String) ENGINE = Memory")
    head = ["-H", f"Content-Encoding: {coding}"]
    url = address.url + "/?query=INSERT%20INTO%20t%20FORMAT%20CSV"
    status, headers, _ = curl(*head, url, data=encode(b"1,x\n2,y\n"))
    assert status == 200
    assert json.loads(headers["x-clickhouse-summary"])["written_rows"] == "2"
    curl(*head, address.url, data=encode(b"INSERT INTO t FORMAT CSV\n3,z\n"))
    assert curl(address.url, data=b"SELECT sum(a), max(b) FROM t")[2] == b"6\tz\n"


@pytest.mark.parametrize(
    ("coding", "decode"),
    [
        ("zstd", lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body)),
        ("lz4", lz4.frame.decompress),
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
    ],
)
@pytest.mark.parametrize("wait", ["0", "1"])
def test_answers_are_compressed_when_asked(
    address: Address, coding: str, decode: Callable[[bytes], bytes], wait: str
) -> None:
    query = b"SELECT number FROM numbers(200000)"
    _, headers, body = curl(
        "-H",
        f"Accept-Encoding: {coding}",
        f"{address.url}/?enable_http_compression=1&wait_end_of_query={wait}",
        data=query,
    )
    assert headers["content-encoding"] == coding
    assert decode(body) == b"".join(b"%d\n" % n for n in range(200_000))
    _, headers, _ = curl("-H", f"Accept-Encoding: {coding}", address.url, data=b"SELECT 1")
    assert "content-encoding" not in headers, "not asked for by enable_http_compression"


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        (b"SELEC 1", 400, "62"),
        (b"SELECT * FROM nowhere", 404, "60"),
        (b"SELECT nothing", 404, "47"),
        (b"SELECT throwIf(1)", 500, "395"),
        (
            b"SELECT sum(cityHash64(number)) FROM numbers(100000000000) SETTINGS max_execution_time = 0.5",
            408,
            "159",
        ),
    ],
)
def test_errors_have_clickhouses_code_text_and_status(
    address: Address, statement: bytes, status: int, code: str
) -> None:
    found, headers, body = curl(address.url, data=statement)
    assert (found, headers["x-clickhouse-exception-code"]) == (status, code)
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert body.count(b"Code: ") == 1


def test_unknown_settings_and_databases_are_clickhouses_own_errors(address: Address) -> None:
    status, headers, body = curl(address.url + "/?max_threds=1", data=b"SELECT 1")
    assert (status, headers["x-clickhouse-exception-code"]) == (404, "115")
    assert b"max_threads" in body
    _, headers, _ = curl(address.url + "/?database=nowhere", data=b"SELECT 1")
    assert headers["x-clickhouse-exception-code"] == "81"


def test_a_comment_in_an_insert_hides_nothing_of_it(address: Address) -> None:
    curl(address.url, data=b"CREATE TABLE t (a Int32) ENGINE = Memory")
    text = b"INSERT INTO t -- all of it\nSETTINGS async_insert = 0 -- at once\nFORMAT CSV\n1\n2\n"
    assert curl(address.url, data=text)[0] == 200
    assert curl(address.url, data=b"SELECT sum(a) FROM t")[2] == b"3\n"


def test_a_large_insert_of_values_does_not_hold_up_others(address: Address) -> None:
    curl(address.url, data=b"CREATE TABLE t (a Int32) ENGINE = Memory")
    values = b"INSERT INTO t VALUES " + b",".join(b"(%d)" % n for n in range(1_000_000))
    thread = threading.Thread(target=lambda: curl(address.url, data=values))
    thread.start()
    begun = time.monotonic()
    assert curl(address.url, data=b"SELECT 1")[2] == b"1\n"
    assert time.monotonic() - begun < 1
    thread.join()
    assert curl(address.url, data=b"SELECT count() FROM t")[2] == b"1000000\n"


def test_a_get_changes_nothing(address: Address) -> None:
    _, headers, _ = curl(address.url + "/?query=CREATE%20TABLE%20t%20(a%20Int8)%20ENGINE%3DMemory")
    assert headers["x-clickhouse-exception-code"] == "164"
    assert curl(address.url, data=b"EXISTS t")[2] == b"0\n"


def test_a_web_page_of_another_origin_is_refused(address: Address) -> None:
    _, headers, _ = curl("-H", "Origin: http://elsewhere.example", address.url, data=b"SELECT 1")
    assert headers["x-clickhouse-exception-code"] == "497"
    assert curl("-H", f"Origin: {address.url}", address.url, data=b"SELECT 1")[0] == 200


def test_settings_of_one_request_do_not_reach_the_next(address: Address) -> None:
    ask = b"SELECT getSetting('max_block_size')"
    assert curl(address.url + "/?max_block_size=77", data=ask)[2] == b"77\n"
    assert curl(address.url, data=ask)[2] != b"77\n"
    session = address.url + "/?session_id=s"
    curl(session, data=b"SET max_block_size = 55")
    curl(session, data=b"CREATE TEMPORARY TABLE own (a Int8)")
    assert curl(session, data=ask)[2] == b"55\n"
    assert curl(session, data=b"SELECT count() FROM own")[2] == b"0\n"
    assert (
        curl(session + "&max_insert_threads=3", data=b"SELECT getSetting('max_insert_threads')")[2]
        == b"3\n"
    )
    assert curl(session, data=b"SELECT getSetting('max_insert_threads')")[2] != b"3\n"
    assert curl(address.url, data=b"SELECT count() FROM own")[0] == 404


def test_parameters_arrive_whatever_they_hold(client: Client) -> None:
    nasty = "a'b\\c\td\ne{f:String}é"
    found = client.query(
        "SELECT {s:String}, {n:Int32}, {d:Array(Int8)}",
        parameters={"s": nasty, "n": -5, "d": [1, 2]},
    )
    assert found.result_rows == [(nasty, -5, [1, 2])]


def test_large_parameters_come_as_a_form(address: Address) -> None:
    client = clickhouse_connect.get_client(
        host=address.host, port=address.port, form_encode_query_params=True
    )
    found = client.query("SELECT length({s:String}) AS n", parameters={"s": "é'" * 300_000})
    assert found.result_rows == [(900_000,)]
    client.close()


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
    begun = time.monotonic()
    for value in range(10):
        client.insert("t", [[value]], column_names=["a"])
        assert client.query("SELECT count() FROM t").result_rows == [(value + 1,)]
    assert time.monotonic() - begun < 2
    slow.join()


def test_user_and_password_are_accepted(address: Address) -> None:
    assert curl("-u", "quant:secret", address.url, data=b"SELECT 1")[2] == b"1\n"
    client = clickhouse_connect.get_client(
        host=address.host, port=address.port, username="quant", password="secret"
    )
    assert client.command("SELECT 1") == 1
    client.close()


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


def test_a_store_json_of_a_killed_store_is_not_believed(tmp_path: Path) -> None:
    with run_in_thread(tmp_path / "other") as alive:
        (tmp_path / "store").mkdir()
        # The dead store's port may have gone to another one meanwhile.
        note = {"host": alive.host, "port": alive.port, "pid": 1, "url": alive.url}
        (tmp_path / "store" / "store.json").write_text(json.dumps(note))
        assert running_store(tmp_path / "store") is None
        assert running_store((tmp_path / "other").resolve()) == alive


def test_a_second_holder_of_the_files_is_told_who_has_them(
    store_url: str, address: Address
) -> None:
    with pytest.raises(StoreError, match=f"process {address.pid} holds"):
        Engine(store_path(store_url))


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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/?compress=1&query=SELECT%201"], "block compression is not spoken here"),
        (["/?decompress=1", "--data-binary", "SELECT 1"], "Accept-Encoding and Content-Encoding"),
        (
            [
                "/?query=SELECT%20*%20FROM%20t",
                "-F",
                "t=@/dev/null;filename=t",
                "-F",
                "t_format=TSV",
            ],
            "external table 't': not here",
        ),
        (
            [
                "/?query=INSERT%20INTO%20t%20SELECT%20x%20FROM%20input('x%20Int32')%20FORMAT%20TSV",
                "--data-binary",
                "1",
            ],
            "input() is not spoken here",
        ),
    ],
)
def test_what_is_not_spoken_is_an_error_that_says_what_to_do_instead(
    address: Address, arguments: list[str], told: str
) -> None:
    """An insert through input() inserted nothing, and was answered as done."""
    path, *rest = arguments
    status, headers, body = curl(address.url + path, "-H", "Expect:", *rest)
    assert (status, headers["x-clickhouse-exception-code"]) == (501, "48")
    assert told in body.decode()


@pytest.mark.parametrize("url", ["mysql://x", "clickhouse:///db", "store"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="it must be like"), connect(url):
        pass


def test_a_reader_that_goes_away_leaves_the_store_well(address: Address) -> None:
    for _ in range(5):
        connection = http.client.HTTPConnection(address.host, address.port)
        connection.request("POST", "/", b"SELECT number, toString(number) FROM numbers(50000000)")
        connection.getresponse().read(1000)
        connection.close()
    assert curl(address.url, data=b"SELECT 1")[2] == b"1\n"
