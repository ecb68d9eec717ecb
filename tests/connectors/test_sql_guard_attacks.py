"""Each way out of a SELECT over allowed tables is tried against a running store; what is hidden stays so."""

import gzip
from collections.abc import Iterator

import pytest
import zstandard

from connectors.store_key import PROGRAMS
from tests.connectors.store.attacks import CLAUSES, FILES, TABLES
from tests.connectors.store.guarded import HIDDEN, GuardedStore, guarded_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedStore]:
    with guarded_store(tmp_path_factory.mktemp("attacked")) as store:
        yield store


def _filled(store: GuardedStore, attack: str) -> str:
    return attack.replace("{file}", str(store.file)).replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("user", [None, "quinn"])
@pytest.mark.parametrize("attacks", [FILES, TABLES, CLAUSES], ids=["files", "tables", "clauses"])
def test_no_way_out_is_open(store: GuardedStore, attacks: list[str], user: str | None) -> None:
    for attack in attacks:
        statement = _filled(store, attack)
        for asked in (statement, f"{statement}\n FORMAT TSV", f"  {statement} ;"):
            reply = store.ask(asked, user, param_t="audit_log")
            # INTO OUTFILE is refused to everybody, as a server does.
            assert reply.code in {62, 358, 497}, (asked, reply)
            assert HIDDEN not in reply.text, asked
            # The guard refuses by itself; that the engine's rights would too is another line of defence.
            assert "Not enough privileges" not in reply.text, asked
    assert not list(store.file.parent.glob("*.out"))
    assert store.ask("SELECT count() FROM trades").text == "1\n"


def test_the_attacks_would_work_without_the_guard(store: GuardedStore) -> None:
    """Or they would prove nothing: the owner finds what is hidden by these."""
    for attack in (FILES[0], FILES[14], TABLES[0], TABLES[3], "SELECT * FROM foreign_view"):
        assert HIDDEN in store.ask(_filled(store, attack), PROGRAMS).text, attack


def test_a_statement_comes_in_the_url_or_in_the_body_and_is_checked_as_one(
    store: GuardedStore,
) -> None:
    parts = [
        ("SELECT * FROM", "audit_log"),
        ("SELECT 1;", "SELECT * FROM audit_log"),
        ("SELECT 1 /*", "*/ FROM audit_log"),
        ("SELECT 1 --", "FROM trades\n, audit_log"),
        ("SELECT '", "' AS x FROM audit_log WHERE '1"),
        ("INSERT INTO trades FORMAT", "CSV\n1"),
        ("INSERT INTO trades FORMAT CSV", "1"),
    ]
    for url, body in parts:
        reply = store.ask(body, query=url)
        assert reply.code in {62, 497}, (url, body, reply)
        assert HIDDEN not in reply.text


def test_a_compressed_statement_is_checked_too(store: GuardedStore) -> None:
    statement = b"SELECT * FROM audit_log"
    for coding, body in (
        ("gzip", gzip.compress(statement)),
        ("zstd", zstandard.compress(statement)),
    ):
        assert store.ask(body, headers={"Content-Encoding": coding}).code == 497


def test_a_small_body_that_stands_for_gigabytes_is_refused(store: GuardedStore) -> None:
    blanks = b" " * (64 << 20)
    for coding, body in (("gzip", gzip.compress(blanks)), ("zstd", zstandard.compress(blanks))):
        reply = store.ask(body, headers={"Content-Encoding": coding})
        assert (reply.code, "at most" in reply.text) == (354, True)


def _form(**fields: str) -> tuple[bytes, dict[str, str]]:
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"{parts}--b--\r\n".encode(), {"Content-Type": "multipart/form-data; boundary=b"}


def test_a_form_is_checked_as_a_url_is(store: GuardedStore) -> None:
    for fields in (
        {"query": "SELECT * FROM audit_log"},
        {"query": "SELECT 1", "max_result_rows": "0"},
        {"query": "SELECT 1", "readonly": "0"},
        {"query": "SELECT 1", "database": "system"},
    ):
        body, headers = _form(**fields)
        assert store.ask(body, headers=headers).code in {497, 452, 164}, fields
    external = (
        b'--b\r\nContent-Disposition: form-data; name="trades"; filename="t"\r\n\r\n1\r\n--b--\r\n'
    )
    reply = store.ask(external, headers=headers, query="SELECT * FROM trades")
    assert reply.code == 48


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"database": "system"}, 497),
        ({"readonly": "0"}, 164),
        ({"allow_ddl": "1"}, 164),
        ({"max_result_rows": "0"}, 452),
        ({"max_result_rows": "999999999999"}, 452),
        ({"max_result_rows": "1e400"}, 452),
        ({"max_result_rows": "nan"}, 452),
        ({"max_execution_time": "0"}, 452),
        ({"max_execution_time": "-1"}, 452),
        ({"max_memory_usage": "0"}, 452),
        ({"result_overflow_mode": "break"}, 452),
        ({"read_overflow_mode": "break"}, 164),
        ({"format_template_row": "x"}, 164),
        ({"format_schema": "x"}, 164),
        ({"output_format_schema": "x"}, 164),
        ({"dialect": "prql"}, 164),
        ({"SQL_x": "1"}, 164),
        ({"profile": "default"}, 164),
        ({"additional_table_filters": "{}"}, 164),
        ({"enable_json_ast_dialect": "1"}, 164),
        ({"role": "tapeflow_owner"}, 512),
        ({"role": "admin"}, 512),
        ({"default_format": "Template"}, 497),
        ({"default_format": "CapnProto"}, 497),
    ],
)
def test_no_parameter_of_the_url_widens_anything(
    store: GuardedStore, parameters: dict[str, str], code: int
) -> None:
    assert store.ask("SELECT 1", "quinn", **parameters).code == code


def test_parameters_that_shape_or_tighten_are_taken(store: GuardedStore) -> None:
    asked = {
        "database": "default",
        "role": "quant",
        "readonly": "2",
        "query_id": "q",
        "session_id": "s",
        "max_result_rows": "5",
        "max_execution_time": "5",
        "join_use_nulls": "1",
        "default_format": "CSV",
        "quota_key": "k",
        "param_x": "7",
    }
    assert store.ask("SELECT {x:Int8}", "quinn", **asked).text == "7\n"
    many = "SELECT number FROM numbers(100)"
    assert store.ask(many, "quinn", max_result_rows="5", wait_end_of_query="1").code == 396
    cut = store.ask(
        many, "quinn", max_result_rows="5", result_overflow_mode="break", max_block_size="5"
    )
    assert cut.text.count("\n") == 5


def test_nothing_is_left_in_a_session(store: GuardedStore) -> None:
    for statement in ("SET max_threads = 1", "CREATE TEMPORARY TABLE t (a Int8)", "USE system"):
        assert store.ask(statement, "quinn", session_id="s").code == 497
    assert store.ask("SELECT 1", PROGRAMS, session_id="s").text == "1\n"
    # The owner's session of the same name is not an analyst's.
    store.ask("CREATE TEMPORARY TABLE own AS SELECT 1 AS a", PROGRAMS, session_id="s")
    assert store.ask("SELECT * FROM own", "quinn", session_id="s").code == 497


def test_a_get_is_checked_as_a_post_is(store: GuardedStore) -> None:
    assert store.ask(method="GET", query="SELECT count() FROM trades").text == "1\n"
    assert store.ask(method="GET", query="SELECT * FROM audit_log").code == 497


def test_lists_of_tables_show_what_may_be_read(store: GuardedStore) -> None:
    for statement in (
        "SHOW TABLES",
        "SELECT name FROM system.tables",
        "SELECT table FROM system.columns",
        "SELECT table_name FROM information_schema.tables",
    ):
        shown = store.ask(statement, "quinn").text.split()
        assert "trades" in shown, statement
        assert not {"audit_log", "orders", "foreign_one", "foreign_view"} & set(shown), statement
    assert "audit_log" in store.ask("SHOW TABLES", "carla").text.split()


def test_compliance_reads_everything_and_writes_nothing(store: GuardedStore) -> None:
    assert HIDDEN in store.ask("SELECT actor FROM audit_log", "carla").text
    assert store.ask("SELECT * FROM foreign_one", "carla").code == 497
    assert store.ask("TRUNCATE TABLE audit_log", "carla").code == 497


def test_a_lander_writes_to_the_topics_tables_only(store: GuardedStore) -> None:
    rows = "symbol,venue,ts_event,price,size,action\n"
    fits = "INSERT INTO `trades` (symbol, venue, ts_event, price, size, action) FORMAT CSV\n"
    row = "MSFT,N,2013-10-07 14:00:00,30.5,1,new\n"
    assert store.ask(fits + row, "lando").status == 200, rows
    for statement in (
        "INSERT INTO foreign_one FORMAT CSV\nx",
        "INSERT INTO trades SELECT * FROM trades",
        f"INSERT INTO trades (symbol) VALUES (file('{store.file}'))",
        f"INSERT INTO trades (symbol) FORMAT Values (file('{store.file}'))",
        "INSERT INTO trades (symbol) SETTINGS input_format_values_interpret_expressions = 1 FORMAT CSV\nx",
        f"INSERT INTO trades FROM INFILE '{store.file}' FORMAT LineAsString",
        f"INSERT INTO FUNCTION file('{store.file}.out') FORMAT CSV\nx",
        "DROP TABLE trades",
        "ALTER TABLE trades DELETE WHERE 1",
        "CREATE TABLE other (a Int8) ENGINE = Memory",
        "CREATE OR REPLACE VIEW trades_latest AS SELECT * FROM audit_log",
        f"SELECT file('{store.file}')",
        "SET ROLE tapeflow_owner",
    ):
        assert store.ask(statement, "lando").code in {497, 62}, statement
    assert store.ask("SELECT count() FROM trades WHERE symbol = 'MSFT'", "lando").text == "1\n"
    store.ask("DELETE FROM trades WHERE symbol = 'MSFT'", PROGRAMS)


def test_only_the_platforms_programs_ask_for_others(store: GuardedStore) -> None:
    header = {"X-Tapeflow-On-Behalf": '{"user": "x", "topics": ["audit_log"]}'}
    for user in (None, "quinn", "ada"):
        assert store.ask("SELECT 1", user, headers=header).code == 497
    assert HIDDEN in store.ask("SELECT actor FROM audit_log", PROGRAMS, headers=header).text
    assert store.ask("SELECT 1 FROM trades", PROGRAMS, headers=header).code == 497
    assert store.ask("SELECT 1", PROGRAMS, headers={"X-Tapeflow-On-Behalf": "{}"}).code == 36
