"""`POST /v1/sql` over a real embedded store: formats, limits, refusals with their places, the audit log."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.audit_log import read_rows
from connectors.clickhouse import connect, create_tables, create_views
from connectors.log import open_log
from schemas.registry import TOPICS
from serving.api.scopes import Role
from serving.api.security import may_read_topic
from tests.serving.api.apps import principal, running
from tests.stores import store_process

QUANT = principal(Role.QUANT, user="quinn", sees=frozenset())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A platform whose store runs, with its tables."""
    home = tmp_path_factory.mktemp("home")
    with store_process(home / "store"):
        with connect(f"chdb:///{home / 'store'}") as client:
            create_tables(client)
            create_views(client)
            client.command(
                "INSERT INTO trades (symbol, venue, ts_event, price, size, action) VALUES "
                "('IBM', 'N', '2013-10-07 14:00:00', 183.5, 100, 'new'), "
                "('IBM', 'T', '2013-10-07 14:00:01', 183.6, 200, 'new')"
            )
        yield home


def ask_all(home: Path, who: Any, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Requests to the route, one after the other."""

    async def once() -> list[httpx.Response]:
        async with running(home, who) as (_, client):
            return [await client.post("/v1/sql", **request) for request in requests]

    return asyncio.run(once())


def ask(home: Path, who: Any = QUANT, **request: Any) -> httpx.Response:
    """One request to the route."""
    (answer,) = ask_all(home, who, request)
    return answer


SUM = (
    "SELECT symbol, sum(size) AS volume FROM trades WHERE symbol = {symbol:String} GROUP BY symbol"
)


def test_a_select_with_parameters_comes_as_json(home: Path) -> None:
    answer = ask(home, json={"sql": SUM, "parameters": {"symbol": "IBM"}})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["data"] == [{"symbol": "IBM", "volume": 300}]
    assert answer.headers["x-result-rows"] == "1"
    assert int(answer.headers["x-limit-rows"]) >= 1_000_000


@pytest.mark.parametrize("by", ["header", "parameter"])
def test_csv_arrow_and_parquet_come_when_asked(home: Path, by: str) -> None:
    def get(form: str, kind: str) -> bytes:
        options: dict[str, Any] = (
            {"headers": {"Accept": kind}} if by == "header" else {"params": {"format": form}}
        )
        answer = ask(home, json={"sql": SUM, "parameters": {"symbol": "IBM"}}, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(kind)
        return answer.content

    wanted = pl.DataFrame({"symbol": ["IBM"], "volume": [300]})
    csv = pl.read_csv(get("csv", "text/csv"))
    arrow = pl.from_arrow(
        pa.ipc.open_stream(get("arrow", "application/vnd.apache.arrow.stream")).read_all()
    )
    parquet = pl.from_arrow(
        pq.read_table(io.BytesIO(get("parquet", "application/vnd.apache.parquet")))
    )
    for found in (csv, arrow, parquet):
        assert isinstance(found, pl.DataFrame)
        assert found.cast({"symbol": pl.String, "volume": pl.Int64}).equals(wanted)


def test_an_unknown_accept_is_told_what_there_is(home: Path) -> None:
    answer = ask(home, json={"sql": "SELECT 1"}, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert "text/csv" in answer.json()["detail"]


def test_a_statement_that_cannot_be_read_is_told_where(home: Path) -> None:
    answer = ask(home, json={"sql": "SELECT 1\nFROM trades WHERE ("})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    wrong = ask(home, json={"sql": "SELECT 1,\n  'unended"})
    assert wrong.json()["type"] == "urn:tapeflow:problem:sql-syntax"
    assert (wrong.json()["line"], wrong.json()["column"]) == (2, 3)


def test_a_refused_function_is_told_with_its_place(home: Path) -> None:
    answer = ask(home, json={"sql": "SELECT\n    file('/etc/passwd')"})
    assert answer.status_code == 403
    found = answer.json()
    assert (found["position"], found["line"], found["column"]) == (11, 2, 5)
    assert "file" in found["detail"]


def test_clickhouses_own_refusal_has_its_code_and_place(home: Path) -> None:
    answer = ask(home, json={"sql": "SELECT nothing FROM trades"})
    assert answer.status_code == 400
    assert answer.json()["code"] == 47
    assert "DB::Exception" not in answer.json()["detail"]


def test_a_quant_reads_exactly_the_topics_of_the_scopes(home: Path) -> None:
    statements = [{"json": {"sql": f"SELECT count() FROM {name}"}} for name in TOPICS]
    found = ask_all(home, QUANT, *statements)
    for name, answer in zip(TOPICS, found, strict=True):
        has_accounts = any(field.name == "account" for field in TOPICS[name].fields)
        allowed = may_read_topic(QUANT, name) and not has_accounts
        assert answer.status_code == (200 if allowed else 403), (name, answer.text)
    assert {answer.status_code for answer in found} == {200, 403}


def test_who_sees_all_accounts_reads_orders(home: Path) -> None:
    assert ask(home, principal(), json={"sql": "SELECT count() FROM orders"}).status_code == 200


def test_a_trader_may_not_query(home: Path) -> None:
    trader = principal(Role.TRADER, user="tom", sees=frozenset({"A1"}))
    assert ask(home, trader, json={"sql": "SELECT 1"}).status_code == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"sql": "SELECT number FROM numbers(1000)", "rows_max": 10}, 396),
        ({"sql": "SELECT count() FROM numbers(100000000000)"}, 158),
        ({"sql": "SELECT groupArray(number) FROM numbers(400000000)"}, 241),
        ({"sql": "SELECT repeat('x', 1000000) FROM numbers(200)"}, 396),
    ],
)
def test_beyond_a_limit_there_is_an_error_and_no_part_of_an_answer(
    home: Path, body: dict[str, Any], code: int
) -> None:
    answer = ask(home, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.json()["type"] == "urn:tapeflow:problem:sql-limit"


def test_the_time_limit_ends_a_statement(home: Path) -> None:
    slow = "SELECT max(SHA256(toString(number))) FROM numbers(1900000000)"
    answer = ask(home, json={"sql": slow, "seconds_max": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, 159), answer.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sql": ""},
        {"sql": 1},
        {"sql": "SELECT 1", "settings": {"max_threads": 9}},
        {"sql": "SELECT 1", "rows_max": 0},
        {"sql": "SELECT 1", "parameters": {"a b": 1}},
    ],
)
def test_a_wrong_body_is_refused(home: Path, body: dict[str, Any]) -> None:
    assert ask(home, json=body).status_code == 422


def test_format_and_settings_belong_to_the_platform(home: Path) -> None:
    for sql in ("SELECT 1 FORMAT CSV", "SELECT 1 SETTINGS max_threads = 1"):
        assert ask(home, json={"sql": sql}).status_code == 403


def test_without_a_store_it_says_so(tmp_path: Path) -> None:
    answer = ask(tmp_path, json={"sql": "SELECT 1"})
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_parameters_are_values_whatever_they_hold(home: Path) -> None:
    values = {"a": "it's \\ a\ttab\nline", "b": [1, 2], "c": True, "d": ["x'y", "z\\"], "e": 1.5}
    sql = "SELECT {a:String} AS a, {b:Array(Int64)} AS b, {c:Bool} AS c, {d:Array(String)} AS d, {e:Float64} AS e"
    answer = ask(home, json={"sql": sql, "parameters": values})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == [values]


def test_each_statement_is_in_the_audit_log(home: Path, tmp_path: Path) -> None:
    statements = ["SELECT 1 FROM orders", "SELECT 2", "SELECT nothing FROM trades"]
    log = f"sqlite:///{tmp_path / 'log.db'}"

    async def all_() -> None:
        async with running(home, QUANT, log=log) as (_, client):
            for sql in statements:
                await client.post("/v1/sql", json={"sql": sql})

    asyncio.run(all_())
    with open_log(log) as opened:
        rows = read_rows(opened, limit=10)[::-1]
    assert [(row["actor"], row["action"], row["subject"], row["result"]) for row in rows] == [
        ("quinn", "sql", statements[0], "refused"),
        ("quinn", "sql", statements[1], "done"),
        ("quinn", "sql", statements[2], "failed"),
    ]
    assert "orders" in rows[0]["reason"]
