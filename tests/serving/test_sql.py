"""`tapeflow sql`: what is printed, in every format, and what ClickHouse refuses."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from connectors.chdb_engine import StoreError
from connectors.clickhouse import connect
from serving.sql import TABLE_ROWS_MAX, SqlError, run_sql
from tests.stores import store_process


def run(url: str, statement: str, format_: str) -> bytes:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8")
    assert run_sql(url, statement, format_, out) == 0
    return raw.getvalue()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store that runs."""
    path = tmp_path_factory.mktemp("sql") / "store"
    with store_process(path):
        yield f"chdb:///{path}"


ROWS = (
    "SELECT * FROM (SELECT 'IBM' AS symbol, 1.5 AS price, NULL AS side, "
    "toDateTime64('2024-03-01 14:30:00.123456789', 9, 'UTC') AS ts_event "
    "UNION ALL SELECT 'é[bold]', -2, 'buy', toDateTime64('2024-03-01 14:30:00', 9, 'UTC')) "
    "ORDER BY symbol"
)


def test_a_table_shows_every_cell_in_full(url: str) -> None:
    text = run(url, ROWS + ";", "table").decode()
    lines = text.splitlines()
    assert lines[0].split() == ["symbol", "┃", "price", "┃", "side", "┃", "ts_event"]
    assert "2024-03-01 14:30:00.123456789" in lines[2]
    assert "NULL" in lines[2]
    assert "é[bold]" in lines[3], "markup of the data is no markup of the terminal"
    assert lines[-1] == "2 rows"


def test_decimals_are_shown_with_all_their_digits_and_no_zeros_behind_them(url: str) -> None:
    shown = run(
        url,
        "SELECT toDecimal128('0', 10) AS none, toDecimal128('36629', 10) AS whole, toDecimal128('0.0000000001', 10) "
        "AS small, CAST(NULL, 'Nullable(Decimal(38, 10))') AS unknown, "
        "toDecimal256('-1234567890123456789012345678901234567890123456789.5', 4) AS long",
        "table",
    ).decode()
    row = [cell.strip() for cell in shown.splitlines()[2].split("│")]
    assert row == [
        "0",
        "36629",
        "0.0000000001",
        "NULL",
        "-1234567890123456789012345678901234567890123456789.5",
    ]


def test_a_long_table_is_cut_and_says_so(url: str) -> None:
    text = run(url, f"SELECT number FROM numbers({TABLE_ROWS_MAX + 50})", "table").decode()
    assert text.splitlines()[-1].startswith(f"{TABLE_ROWS_MAX} rows shown, there are more")
    assert len(text.splitlines()) == TABLE_ROWS_MAX + 3


def test_csv_json_and_parquet_hold_the_same_rows(url: str, tmp_path: Path) -> None:
    frame = pl.read_csv(io.BytesIO(run(url, ROWS, "csv")))
    assert frame["symbol"].to_list() == ["IBM", "é[bold]"]
    objects = [json.loads(line) for line in run(url, ROWS, "json").splitlines()]
    assert [one["price"] for one in objects] == [1.5, -2]
    parquet = pl.read_parquet(io.BytesIO(run(url, ROWS, "parquet")))
    assert parquet["symbol"].cast(pl.String).to_list() == ["IBM", "é[bold]"]


def test_what_clickhouse_refuses_is_said_in_its_words_without_the_protocols(url: str) -> None:
    with pytest.raises(SqlError) as caught:
        run(url, "SELECT nothing FROM nowhere", "table")
    assert str(caught.value).startswith("Code: 60. DB::Exception: ")
    assert "http" not in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW TABLES",
        "DESCRIBE (SELECT 1 AS a)",
        "EXISTS t",
        "(SELECT 1)",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "/* both */ ((SELECT 1) UNION ALL SELECT 2)",
        "FROM numbers(3) SELECT count()",
        "-- what there is\nSHOW TABLES",
        "DESC(SELECT 1 AS a)",
    ],
)
def test_statements_that_give_rows_are_printed(url: str, statement: str) -> None:
    """Those in brackets, with FROM first or behind a comment ran, and printed nothing."""
    assert run(url, statement, "csv")
    assert run(url, statement, "table").splitlines()[-1].split()[-1] in {b"row", b"rows"}


def test_statements_that_give_none_run(url: str) -> None:
    with connect(url):
        assert run(url, "CREATE TABLE made (a Int8) ENGINE = Memory", "table") == b""
        assert b"made" in run(url, "SHOW TABLES", "csv")


@pytest.mark.own_process
def test_a_store_that_no_program_serves_is_opened_for_each_statement(tmp_path: Path) -> None:
    url = f"chdb:///{tmp_path / 'store'}"
    assert run(url, "CREATE TABLE made (a Int8) ENGINE = MergeTree ORDER BY a", "table") == b""
    assert run(url, "INSERT INTO made VALUES (7)", "table") == b""
    assert run(url, "SELECT a FROM made", "csv").split() == [b'"a"', b"7"]


def test_an_unknown_format_names_the_known_ones(url: str) -> None:
    with pytest.raises(StoreError, match="table, csv, json, parquet"):
        run(url, "SELECT 1", "xml")
