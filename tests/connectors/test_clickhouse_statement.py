"""Where an INSERT's data begins and which FORMAT is asked for, whatever else the statement holds."""

import pytest

from connectors.clickhouse_statement import (
    insert_head,
    is_only_select,
    is_select,
    only_reads,
    output_format,
    reads_input,
    writes_file,
)


@pytest.mark.parametrize(
    ("text", "target", "format_", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", b"INSERT INTO t", "CSV", b"1,2\n"),
        (
            b"insert into t (a, b) format Native \n\x01\x02",
            b"insert into t (a, b)",
            "Native",
            b"\x01\x02",
        ),
        (b'INSERT INTO "FORMAT" FORMAT TSV\r\nx', b'INSERT INTO "FORMAT"', "TSV", b"x"),
        (
            b"INSERT INTO `a ' b` (`FORMAT`) FORMAT TSV\n",
            b"INSERT INTO `a ' b` (`FORMAT`)",
            "TSV",
            b"",
        ),
        (
            b"/* SELECT */ INSERT INTO t -- VALUES\n FORMAT TSV\n7",
            b"/* SELECT */ INSERT INTO t -- VALUES",
            "TSV",
            b"7",
        ),
        (b"INSERT INTO t SETTINGS a = 'FORMAT x' FORMAT TSV\n\n7", b"INSERT INTO t", "TSV", b"\n7"),
        (
            b"INSERT INTO FUNCTION null('a Int8') FORMAT CSV\n1",
            b"INSERT INTO FUNCTION null('a Int8')",
            "CSV",
            b"1",
        ),
    ],
)
def test_the_head_of_an_insert_with_data(
    text: bytes, target: bytes, format_: str, data: bytes
) -> None:
    head = insert_head(text)
    assert head is not None
    assert (head.target, head.format, text[head.data_at :]) == (target, format_, data)


def test_the_settings_of_an_insert_are_kept_apart() -> None:
    head = insert_head(b"INSERT INTO t SETTINGS async_insert = 0, x = 'y' FORMAT TSV\n")
    assert head is not None
    assert head.settings == b"SETTINGS async_insert = 0, x = 'y'"


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t VALUES (1, 'FORMAT CSV')",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"SELECT 'INSERT INTO t FORMAT CSV'",
        b"INSERT INTO t",
        b"INSERT INTO t FORMAT",
        b"",
    ],
)
def test_statements_without_data_of_their_own_have_no_head(text: bytes) -> None:
    assert insert_head(text) is None


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        (b"SELECT 1", None),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format JSON;", "JSON"),
        (b"SELECT 'FORMAT CSV'", None),
        (b"SELECT * FROM (SELECT 1 FORMAT CSV)", None),
        (b"SELECT 1 -- FORMAT CSV", None),
        (b"SELECT `FORMAT` FROM t FORMAT TSV SETTINGS a = 1", "TSV"),
        (b"SELECT 'it''s' AS a, \"b\\\"FORMAT x\" FORMAT Arrow", "Arrow"),
    ],
)
def test_the_format_is_the_outermost_one(text: bytes, format_: str | None) -> None:
    assert output_format(text) == format_


def test_what_reads_and_what_is_a_select() -> None:
    for text in (
        b"SELECT 1",
        b"(SELECT 1) UNION ALL (SELECT 2)",
        b"-- a comment\n(SELECT 1)",
        b"from t select *",
        b" with x as (select 1) select *",
    ):
        assert only_reads(text), text
        assert is_select(text), text
    for text in (
        b"DROP TABLE t",
        b"INSERT INTO t VALUES (1)",
        b"/* SELECT */ CREATE TABLE t",
        b"ALTER",
    ):
        assert not only_reads(text), text
        assert not is_select(text), text
    for text in (
        b"SELECT 1; TRUNCATE TABLE t",
        b"SELECT 1 PARALLEL WITH TRUNCATE TABLE t",
        b"WITH 1 AS x INSERT INTO t SELECT x",
    ):
        assert not only_reads(text), text
        assert is_select(text), text
    for text in (
        b"SELECT ';' AS a; -- the end",
        b"SELECT (1), 'INSERT INTO' -- INSERT INTO",
        b"SET a = 1;",
    ):
        assert only_reads(text), text
    assert is_select(b"-- a comment\nSELECT 1")
    assert only_reads(b"SHOW TABLES")
    assert not is_select(b"SHOW TABLES")


def test_a_long_insert_is_looked_at_no_further_than_its_head() -> None:
    text = b"INSERT INTO t FORMAT TSV\n" + b"(" * 50_000_000
    head = insert_head(text)
    assert head is not None
    assert head.data_at == 25


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"INSERT INTO t SELECT x FROM input('x Int32') FORMAT TSV\n1", True),
        (b"insert into t select x from (select * from Input ('x Int32')) format TSV", True),
        (b"INSERT INTO t SELECT input FROM u", False),
        (b"INSERT INTO t SELECT 'input('", False),
        (b"SELECT * FROM input('x Int32')", False),
        (b"INSERT INTO input (x) FORMAT TSV", False),
        (b"INSERT INTO t FORMAT TSV\nselect from input('x')", False),
    ],
)
def test_an_insert_through_input_is_known(text: bytes, *, wanted: bool) -> None:
    assert reads_input(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"SELECT 1 INTO OUTFILE 'x'", True),
        (b"(select 1) into -- where\n outfile 'x' truncate format CSV", True),
        (b"EXPLAIN SELECT 1 INTO OUTFILE 'x'", True),
        (b"SELECT 1; SELECT 2 INTO OUTFILE 'x'", True),
        (b"SELECT 'INTO OUTFILE'", False),
        (b"SELECT 1 -- INTO OUTFILE 'x'", False),
        (b"SELECT outfile FROM t", False),
        (b"INSERT INTO outfile SELECT 1", False),
    ],
)
def test_a_result_that_goes_into_a_file_is_known(text: bytes, *, wanted: bool) -> None:
    assert writes_file(text) == wanted


@pytest.mark.parametrize(
    "text", [b"SELECT ';' -- a; b\n, /* ; */ 1", b"-- one; then\nWITH 1 AS x SELECT x"]
)
def test_a_semicolon_in_quotes_or_a_comment_ends_no_statement(text: bytes) -> None:
    assert is_only_select(text)


@pytest.mark.parametrize(
    "text", [b"SELECT 1; SET a = 1", b"SELECT 1;", b"SET a = 1", b"INSERT INTO t SELECT 1"]
)
def test_what_is_more_than_one_select_or_none_is_told(text: bytes) -> None:
    assert not is_only_select(text)
