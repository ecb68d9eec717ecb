"""ClickHouse's HTTP protocol over chDB, as curl and other clients that know nothing of Python speak it."""

import gzip
import http.client
import json
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect
import lz4.frame
import pytest
import zstandard

from connectors.chdb_address import Address


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


@pytest.mark.parametrize("name", ["query_id", "default_format"])
@pytest.mark.parametrize("value", ["%E2%82%AC", "a%0d%0aX-Other:1", "%00"])
def test_what_answers_repeat_in_their_headers_is_refused_where_it_cannot_stand_there(
    address: Address, name: str, value: str
) -> None:
    """It was a 500, or no answer at all."""
    status, headers, body = curl(address.url + f"/?query=SELECT%201&{name}={value}")
    assert status in {400, 404}
    assert name.removeprefix("default_").encode() in body
    assert "x-other" not in headers


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
    own = f"Origin: http://{address.host}:{address.port}"
    assert curl("-H", own, address.url, data=b"SELECT 1")[0] == 200


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


def test_a_session_in_which_others_have_read_is_as_new(address: Address) -> None:
    """Sessions of SELECTs are used again: whatever leaves a trace in one must not be among them."""
    ask = b"SELECT getSetting('max_block_size'), currentDatabase()"
    (_, _, new) = curl(address.url, data=ask)
    for between in (
        b"SET max_block_size = 55",
        b"SELECT 1; SET max_block_size = 55",
        b"SELECT getSetting('max_block_size') SETTINGS max_block_size = 55",
        b"SELECT throwIf(1) SETTINGS max_block_size = 55",
        b"USE system",
    ):
        curl(address.url, data=between)
        assert curl(address.url, data=ask)[2] == new, between
    for path in ("/?readonly=1", "/?database=system", "/?max_block_size=55"):
        curl(address.url + path, data=ask)
        assert curl(address.url, data=ask)[2] == new, path
    assert curl(address.url + "/?param_a=1", data=b"SELECT {a:Int8}")[2] == b"1\n"
    assert curl(address.url, data=b"SELECT {a:Int8}")[0] != 200


def test_large_parameters_come_as_a_form(address: Address) -> None:
    client = clickhouse_connect.get_client(
        host=address.host, port=address.port, form_encode_query_params=True
    )
    found = client.query("SELECT length({s:String}) AS n", parameters={"s": "é'" * 300_000})
    assert found.result_rows == [(900_000,)]
    client.close()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/?decompress=1", "--data-binary", "SELECT 1"], "leave out decompress=1"),
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


@pytest.mark.parametrize("format_", ["", " FORMAT CSV"])
def test_a_result_into_a_file_of_the_store_is_refused(
    address: Address, tmp_path: Path, format_: str
) -> None:
    """The store wrote the file where it runs, and answered nothing."""
    file = tmp_path / "out.csv"
    statement = f"SELECT 1 INTO OUTFILE '{file}'{format_}"
    status, headers, body = curl(address.url, data=statement.encode())
    assert (status, headers["x-clickhouse-exception-code"]) == (500, "358")
    assert b"INTO OUTFILE is not allowed" in body
    assert not file.exists()


def test_a_reader_that_goes_away_leaves_the_store_well(address: Address) -> None:
    for _ in range(5):
        connection = http.client.HTTPConnection(address.host, address.port)
        connection.request("POST", "/", b"SELECT number, toString(number) FROM numbers(50000000)")
        connection.getresponse().read(1000)
        connection.close()
    assert curl(address.url, data=b"SELECT 1")[2] == b"1\n"
