"""Clients with a password against the embedded store: clickhouse-connect, curl, Grafana's and JDBC's requests."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from connectors.chdb_engine import Engine
from connectors.chdb_roles import roles_for
from connectors.clickhouse_statement import StatementError
from connectors.store_key import PROGRAMS
from connectors.store_users import StoreRole, StoreUser, StoreUsers, hash_of_password, with_changes
from tests.connectors.store.guarded import HIDDEN, KEYS, GuardedStore, guarded_store

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedStore]:
    with guarded_store(tmp_path_factory.mktemp("clients")) as store:
        StoreUsers(store.path).put(
            StoreUser(name="pat", role=StoreRole.QUANT, secret=hash_of_password(PASSWORD))
        )
        yield store


@pytest.fixture(autouse=True)
def no_tables_are_left() -> None:
    """The folder's fixture of this name is for stores that are the owner's."""


def test_clickhouse_connect_works_with_a_password(store: GuardedStore) -> None:
    options = {"host": store.address.host, "port": store.address.port}
    client = clickhouse_connect.get_client(**options, username="pat", password=PASSWORD)
    assert client.query("SELECT symbol, size FROM trades").result_rows == [("IBM", 100.0)]
    assert client.query("SELECT {s:String} AS s", parameters={"s": "it's"}).result_rows == [
        ("it's",)
    ]
    assert client.query_arrow("SELECT count() AS n FROM trades").to_pydict() == {"n": [1]}
    assert client.query_df("SELECT symbol FROM trades").symbol[0] == "IBM"
    limited = client.query("SELECT number FROM numbers(9)", settings={"max_threads": 1})
    assert len(limited.result_rows) == 9
    with pytest.raises(DatabaseError, match="audit_log may not be read"):
        client.query("SELECT * FROM audit_log")
    with pytest.raises(DatabaseError, match="may be run here"):
        client.command("DROP TABLE trades")
    client.close()
    with pytest.raises(DatabaseError, match="password is incorrect"):
        clickhouse_connect.get_client(**options, username="pat", password="wrong")


def test_a_result_that_is_too_long_is_an_error_and_not_a_part(store: GuardedStore) -> None:
    user = StoreUsers(store.path).get("quinn")
    assert user is not None
    StoreUsers(store.path).put(with_changes(user, {"result_rows": 100_000}))
    client = clickhouse_connect.get_client(
        host=store.address.host, port=store.address.port, username="quinn", password=KEYS["quinn"]
    )
    rows = "SELECT number, toString(number) FROM numbers(5000000)"
    with pytest.raises((DatabaseError, StreamFailureError), match="max rows: 100"):
        client.query(rows)
    with (
        pytest.raises((DatabaseError, StreamFailureError), match="max rows: 100"),
        client.query_rows_stream(rows) as stream,
    ):
        list(stream)
    client.close()
    StoreUsers(store.path).put(user)


def test_curl_brings_a_password_in_each_way(store: GuardedStore) -> None:
    url = f"http://{store.address.host}:{store.address.port}/"
    ways = [
        ["-u", f"pat:{PASSWORD}", url],
        ["-H", "X-ClickHouse-User: pat", "-H", f"X-ClickHouse-Key: {PASSWORD}", url],
        [f"{url}?user=pat&password={PASSWORD.replace(' ', '+')}"],
    ]
    for way in ways:
        done = subprocess.run(
            ["curl", "-s", "--fail", "--data-binary", "SELECT count() FROM trades", *way],
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"1\n"


# As the HTTP protocol of clickhouse-go sends it for Grafana's data source: Native is spoken in blocks of ClickHouse's
# own compression only where it is asked for, and the data source's default is none.
GRAFANA = [
    "SELECT displayName(), version(), revision(), timezone()",
    "SELECT version()",
    "SELECT name FROM system.databases",
    "SELECT name FROM system.tables WHERE database = 'default'",
    "DESC TABLE `default`.`trades`",
    (
        'SELECT "ts_event" AS "time", "price" FROM "default"."trades" '
        "WHERE ( time >= toDateTime64(1381150000, 9) AND time <= toDateTime64(1381160000, 9) ) ORDER BY time ASC LIMIT 1000"
    ),
]
# As clickhouse-jdbc 0.9 and DBeaver ask when they connect and show a schema.
JDBC = [
    "SELECT 1",
    "SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1",
    "SELECT name, value FROM system.settings WHERE name = 'max_threads'",
    "SELECT name AS TABLE_SCHEM FROM system.databases ORDER BY name",
    (
        "SELECT t.database AS TABLE_SCHEM, t.name AS TABLE_NAME, t.engine AS TABLE_TYPE, t.comment AS REMARKS "
        "FROM system.tables AS t JOIN system.databases AS d ON t.database = d.name WHERE t.name LIKE '%' ORDER BY 1, 2"
    ),
    "SELECT database, table, name, type, default_kind, comment, position FROM system.columns WHERE table = 'trades'",
]


@pytest.mark.parametrize("statement", [one for one in GRAFANA + JDBC if "displayName" not in one])
def test_what_grafana_and_dbeaver_ask_is_answered(store: GuardedStore, statement: str) -> None:
    reply = store.ask(
        statement,
        "quinn",
        headers={"X-ClickHouse-Database": "default"},
        default_format="RowBinaryWithNamesAndTypes",
        max_execution_time="60",
        max_result_rows="1000",
        result_overflow_mode="break",
        session_id="dbeaver",
        database="default",
    )
    assert (reply.status, bool(reply.body)) == (200, True), reply.text


def test_the_schema_that_a_client_shows_has_no_private_table(store: GuardedStore) -> None:
    found = store.ask(JDBC[4], "quinn").text
    assert "trades" in found
    assert "audit_log" not in found


def test_a_quota_ends_with_clickhouses_own_error(store: GuardedStore) -> None:
    users = StoreUsers(store.path)
    few = with_changes(
        StoreUser(name="few", role=StoreRole.QUANT, secret=hash_of_password(PASSWORD)),
        {"quota.queries": 2},
    )
    users.put(few)
    client = clickhouse_connect.get_client
    with pytest.raises(DatabaseError, match="201"):
        client(
            host=store.address.host, port=store.address.port, username="few", password=PASSWORD
        ).query("SELECT 1")


@pytest.mark.own_process
def test_the_engine_keeps_a_session_to_its_roles_even_without_the_guard(tmp_path: Path) -> None:
    """The last line of defence, by itself: what the guard would have to miss."""
    engine = Engine(tmp_path / "store")
    file = tmp_path / "file.txt"
    file.write_text(HIDDEN)
    with engine.session() as owner:
        for name in ("trades", "orders"):
            owner.run(f"CREATE TABLE {name} (a Int8) ENGINE = MergeTree ORDER BY a".encode(), "TSV")
        owner.run(b"CREATE TABLE foreign_one (a Int8) ENGINE = Memory", "TSV")
    with engine.session() as session:
        session.restrict(roles_for(["trades"]), {"max_result_rows": "5", "readonly": "1"})
        assert session.run(b"SELECT count() FROM trades", "TSV").body == b"0\n"
        for statement in (
            "SELECT * FROM orders",
            "SELECT * FROM foreign_one",
            f"SELECT * FROM file('{file}', 'LineAsString')",
            "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString', 's String')",
            "SELECT * FROM remote('127.0.0.1', 'default', 'trades')",
            "SELECT * FROM executable('ls', 'TSV', 's String')",
            "INSERT INTO trades VALUES (1)",
            "CREATE TABLE t (a Int8) ENGINE = Memory",
            "DROP TABLE trades",
            "SET max_result_rows = 0",
            "SELECT 1 SETTINGS max_result_rows = 0",
            "SELECT number FROM numbers(10)",
        ):
            with pytest.raises(StatementError) as caught:
                session.run(statement.encode(), "TSV")
            assert caught.value.code in {164, 396, 497}, statement
    engine.close()


def test_the_key_of_the_programs_is_the_way_in_of_connect(store: GuardedStore) -> None:
    assert HIDDEN in store.ask("SELECT actor FROM audit_log", PROGRAMS).text
