"""The guard by itself: what analysts write is let through as it is, what it cannot read is refused with its place."""

import contextlib
import re

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from connectors.sql_guard import check_statement
from connectors.sql_guard_engine import check_with_engine
from connectors.sql_guard_tables import PRIVATE_TOPICS, ReadScope, every_topic, views
from connectors.sql_guard_text import GuardError, read_text
from connectors.sql_texts import sql_folder
from schemas.registry import TOPICS
from serving.api.scopes import TOPIC_SCOPES, Role, Scope, scopes_of
from serving.queries import queries
from serving.run_landing import database_of

MARKET = ReadScope(frozenset(TOPICS) - PRIVATE_TOPICS)


def checked(statement: str) -> str:
    return check_statement(statement, MARKET).text


@pytest.mark.parametrize("name", sorted(queries()))
def test_our_own_queries_are_let_through_but_for_their_settings(name: str) -> None:
    text = re.sub(r"\nSETTINGS .*", "", queries()[name].text)
    assert check_statement(text, every_topic()).tables


@pytest.mark.parametrize("file", sorted(sql_folder("views").glob("*.sql")), ids=lambda f: f.stem)
def test_the_selects_of_our_views_are_let_through_but_for_their_settings(file: object) -> None:
    text = re.sub(r"CREATE OR REPLACE VIEW \w+ AS|\nSETTINGS .*", "", file.read_text())
    assert check_statement(text, every_topic()).tables


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "  select 1 ;  ",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SELECT 1 INTERSECT SELECT 2",
        "FROM trades SELECT count()",
        "WITH t AS (SELECT * FROM trades) SELECT * FROM t WHERE symbol IN (SELECT symbol FROM t)",
        "WITH trades AS (SELECT * FROM trades WHERE symbol = 'IBM') SELECT count() FROM trades",
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
        "WITH 5 AS n SELECT n",
        "WITH (SELECT max(price) FROM trades) AS top SELECT top",
        "SELECT * FROM trades ASOF JOIN quotes USING (symbol, ts_event)",
        "SELECT * FROM trades AS t LEFT ANY JOIN quotes AS q ON t.symbol = q.symbol",
        "SELECT symbol, arrayJoin([1, 2]) FROM trades ARRAY JOIN [3, 4] AS y",
        "SELECT sum(size) OVER (PARTITION BY symbol ORDER BY ts_event ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM trades",
        "SELECT row_number() OVER w FROM trades WINDOW w AS (ORDER BY ts_event)",
        "SELECT quantile(0.9)(price), uniqIf(symbol, size > 1), argMaxIfOrNull(price, ts_event, size > 0) FROM trades",
        "SELECT arrayMap(x -> x + 1, [1]), arraySort([2, 1]), arrayMap(lower, ['A']) FROM trades",
        "SELECT arraySum(x), arraySum((x)), arrayMax(groupArray(size)) FROM (SELECT [1] AS x, 1 AS size)",
        "SELECT * EXCEPT (symbol), COLUMNS('^ts') APPLY(max) FROM trades GROUP BY ALL",
        "SELECT max(revision) FROM breadth",
        "SELECT CAST(price AS Decimal(38, 10)), price::Nullable(Float64), {d:DateTime64(9, 'UTC')} FROM trades",
        "SELECT CASE WHEN size > 1 THEN 'a' ELSE 'b' END, size > 1 ? 1 : 0 FROM trades",
        "SELECT * FROM ohlcv(seconds = 900) WHERE symbol = 'IBM'",
        "SELECT * FROM default.ohlcv(seconds = {s:UInt32})",
        "SELECT * FROM numbers(10)",
        "SELECT 'file(x); SELECT * FROM audit_log -- /*', \"symbol\", `venue` FROM trades",
        "SELECT 1 -- FROM audit_log\n",
        "SELECT 1 /* SETTINGS x = 1 */",
        "SELECT symbol FROM trades GROUP BY GROUPING SETS ((symbol), (venue))",
        "SELECT symbol FROM trades PREWHERE size > 1 WHERE price > 1 QUALIFY row_number() OVER (ORDER BY price) = 1",
        "SELECT ts_event FROM bars ORDER BY ts_event WITH FILL STEP 1",
        "SELECT symbol FROM trades LIMIT 1 BY symbol",
        "SELECT symbol IN ('A', 'B'), (symbol, venue) IN (('A', 'N')) FROM trades",
        "EXPLAIN SELECT 1",
        "EXPLAIN PIPELINE graph = 1, compact = 0 SELECT * FROM trades",
        "EXPLAIN indexes = 1 SELECT * FROM trades",
        "EXPLAIN QUERY TREE run_passes = 1 SELECT * FROM trades",
        "SELECT 1 FORMAT JSONEachRow",
        "SELECT name, value FROM system.settings",
        "SELECT * FROM INFORMATION_SCHEMA.TABLES",
    ],
)
def test_what_analysts_write_is_let_through(statement: str) -> None:
    text = checked(statement)
    assert len(text) == len(statement)
    assert (
        text.split() == re.sub(r"--[^\n]*|/\*.*?\*/|;\s*$", " ", statement).split() or "'" in text
    )


def test_show_and_describe_become_reads() -> None:
    assert checked("SHOW TABLES").startswith("SELECT name FROM system.tables")
    assert checked("show databases FORMAT CSV").endswith("FORMAT CSV")
    assert checked("DESC `trades`") == "DESCRIBE TABLE default.trades"
    assert checked("DESCRIBE TABLE default.ohlcv FORMAT TSV").endswith("default.ohlcv FORMAT TSV")


@pytest.mark.parametrize("scope", [MARKET, every_topic()], ids=["quant", "compliance"])
def test_tables_of_replay_runs_are_read_by_nobody_who_is_bound(scope: ReadScope) -> None:
    """A run may be called anything and be anybody's: the engine has no rights for it to give one by one."""
    table = f"{database_of('trial')}.bars"
    for statement in (f"SELECT * FROM {table}", f"SELECT 1 IN ({table})"):
        with pytest.raises(GuardError, match="runs are for admins"):
            check_statement(statement, scope)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("SELECT\n  file('x')", "file"),
        ("SELECT 1 FROM orders", "orders"),
        ("SELECT 1; SELECT 2", "; SELECT 2"),
        ("SELECT 1 SETTINGS a = 1", "SETTINGS"),
        ("SELECT * APPLY(hostName) FROM trades", "hostName"),
        ("SELECT arrayMap(file, ['a'])", "file"),
        ("SELECT 1 WHERE ) ", ")"),
        ("SELECT {t:Identifier}", "{t:Identifier}"),
        ("SELECT 'é' , $a$", "$a$"),
        ("DROP TABLE trades", "DROP"),
        ("SELECT 1 FORMAT Template", "Template"),
        ("SELECT symbol FROM trades WHERE WHERE 1", "WHERE 1"),
    ],
)
def test_a_refusal_tells_the_place(statement: str, place: str) -> None:
    with pytest.raises(GuardError) as caught:
        checked(statement)
    assert caught.value.position is not None
    assert statement[caught.value.position :].startswith(place)
    assert f"(at position {caught.value.position + 1})" in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "-- nothing",
        ";",
        "SELECT " + "(" * 100 + "1" + ")" * 100,
        "SELECT " + "NOT " * 5_000 + "1",
        "SELECT " + "- " * 5_000 + "1",
        "SELECT " + ", ".join(["1"] * 9_000),
        "SELECT '" + "x" * 70_000 + "'",
        "SELECT 1 " + "UNION ALL SELECT 1 " * 1_500,
        "SELECT " + "CASE WHEN 1 THEN " * 700 + "1" + " END" * 700,
    ],
)
def test_what_is_too_much_for_a_parser_is_refused_and_not_a_fault(statement: str) -> None:
    # What is small enough may pass; nothing but a refusal may come out.
    with contextlib.suppress(GuardError):
        checked(statement)


@given(st.text(max_size=60))
def test_any_text_is_let_through_or_refused(text: str) -> None:
    try:
        check_statement(text, MARKET)
    except GuardError:
        return
    assert text.strip()[0] in "(sSwWfFeEdD"


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "`a b`",
                '"c"',
                "'t''x'",
                "'\\''",
                "1",
                "1.5",
                ".5",
                "(",
                ")",
                "[",
                "]",
                "--x\n",
                "/* y */",
                " ",
                "\n",
                "->",
                "::",
                "=",
                "<=",
                "{x:Int8}",
                "file",
                ",",
                "-",
                "e",
                "'\\\\'",
            ]
        ),
        max_size=12,
    )
)
def test_our_pieces_are_the_parsers_pieces(parts: list[str]) -> None:
    """Texts, names and words end where sqlglot's lexer ends them, or the guard would look at other calls."""
    text = " ".join(parts)
    try:
        read = read_text(text)
    except GuardError:
        return
    ours = [token for token in read.tokens if token.kind in {"word", "quoted", "text"}]
    theirs = [
        token
        for token in sqlglot.tokenize(read.text, dialect="clickhouse")
        if read.text[token.start] in "'`\"" or read.text[token.start].isalpha()
    ]
    # Names of a parameter are one piece here and several there.
    spans = [(one.start, one.end) for one in read.tokens if one.kind == "parameter"]
    theirs = [one for one in theirs if not any(a <= one.start < b for a, b in spans)]
    assert [(one.start, one.end) for one in ours] == [(one.start, one.end + 1) for one in theirs]


def test_a_view_is_open_where_all_that_it_reads_is() -> None:
    assert "ohlcv" in ReadScope(frozenset({"trades"})).tables
    assert "trades_quotes" not in ReadScope(frozenset({"trades"})).tables
    assert views()["bars_wide"] == {"bars", "indicators"}
    with pytest.raises(GuardError, match="trades_quotes may not be read"):
        check_statement("SELECT * FROM trades_quotes", ReadScope(frozenset({"trades"})))


def test_private_topics_are_those_that_the_api_keeps_from_quants() -> None:
    """Said in two places, since a connector knows nothing of the API; whatever names an account is private."""
    scopes = scopes_of(frozenset({Role.QUANT}))
    closed = {name for name in TOPICS if TOPIC_SCOPES[name] not in scopes}
    assert closed | {"dead_letter"} == PRIVATE_TOPICS
    assert Scope.SQL_RUN in scopes
    for name, topic in TOPICS.items():
        if any(field.name in {"account", "actor", "user"} for field in topic.fields):
            assert name in PRIVATE_TOPICS, name


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (b'{"type":"InsertQuery"}', "reads no SELECT"),
        (b'{"type":"ExplainQuery","query":null}', "reads no SELECT"),
        (b'{"type":"SelectWithUnionQuery","x":{"type":"SetQuery"}}', "reads a SetQuery"),
        (b'{"type":"SelectWithUnionQuery","out_file":{"type":"Literal"}}', "INTO OUTFILE"),
        (b'{"type":"SelectWithUnionQuery","x":[{"type":"Function","name":"File"}]}', "File is not"),
        (
            b'{"type":"SelectWithUnionQuery","x":{"type":"ColumnsApplyTransformer","func_name":"file"}}',
            "file is not",
        ),
        (
            (
                b'{"type":"SelectWithUnionQuery","x":{"type":"TableExpression","table_function":'
                b'{"type":"Function","name":"lower"}}}'
            ),
            "table function lower",
        ),
        (
            (
                b'{"type":"SelectWithUnionQuery","x":{"type":"Function","name":"arrayMap","arguments":'
                b'{"children":[{"type":"Identifier","name":"file"},{"type":"Identifier","name":"a"}]}}}'
            ),
            "file is not",
        ),
    ],
)
def test_the_second_reading_refuses_by_itself(tree: bytes, told: str) -> None:
    with pytest.raises(GuardError, match=told):
        check_with_engine("whatever", lambda _: tree)
