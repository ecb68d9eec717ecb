"""The verb `tapeflow sql`: one statement to the store, its result as a table, CSV, JSON lines or Parquet."""

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from enum import StrEnum
from numbers import Integral
from typing import Any, TextIO

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.chdb_engine import StoreError
from connectors.clickhouse import connect
from connectors.clickhouse_statement import gives_rows

# A terminal is no place for a million rows; --format csv gives them all.
TABLE_ROWS_MAX = 1_000
_FORMAT = re.compile(r"\bFORMAT\s+\w+$", re.IGNORECASE)
# Also of Nullable(Int64) and Array(Int64).
_WHOLE = re.compile(r"\{\s*(\w+)\s*:[^{}]*?\b(U?)Int(8|16|32|64|128|256)\b")
# As many digits as ClickHouse's widest decimal has.
_EXACT = Context(prec=76)


class SqlError(StoreError):
    """A statement that cannot be run: ClickHouse's answer, without the protocol around it."""


class SqlFormat(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


_CLICKHOUSE_FORMATS = {
    SqlFormat.CSV: "CSVWithNames",
    SqlFormat.JSON: "JSONEachRow",
    SqlFormat.PARQUET: "Parquet",
}


def run_sql(
    store_url: str,
    statement: str,
    format: SqlFormat | str,  # noqa: A002 - the name of the option
    out: TextIO,
    parameters: Mapping[str, Any] | None = None,
) -> int:
    """Run one statement and write its result.

    Parameters
    ----------
    store_url : str
        ``chdb:///path`` or ``clickhouse://…``; an embedded store that is not running is opened here.
    statement : str
        One statement, without FORMAT.
    format : SqlFormat or str
        table, csv, json (one object a line) or parquet.
    out : text file
        Where the result goes; its ``buffer`` takes the bytes.
    parameters : mapping of str to value, optional
        Values of the statement's ``{name:Type}``.

    Returns
    -------
    int
        0, as an exit status.

    Raises
    ------
    SqlError
        With ClickHouse's message.
    connectors.chdb_engine.StoreError
        Where the store cannot be reached.
    """
    statement = statement.strip().rstrip(";")
    if format not in set(SqlFormat):
        raise SqlError(f"format {format!r}: it must be one of {', '.join(SqlFormat)}")
    answers = gives_rows(statement.encode())
    if answers and _FORMAT.search(statement):
        raise SqlError(
            f"leave FORMAT out of the statement: `--format {'|'.join(SqlFormat)}` says how it is printed"
        )
    chosen = SqlFormat(format)
    with connect(store_url) as client:
        try:
            if not answers:
                client.command(statement)
            elif chosen is SqlFormat.TABLE:
                out.buffer.write(_table(client, statement, parameters))
            else:
                with client.raw_stream(
                    statement, dict(parameters or {}) or None, fmt=_CLICKHOUSE_FORMATS[chosen]
                ) as stream:
                    out.buffer.writelines(iter(lambda: stream.read(1 << 20), b""))
        except DatabaseError as error:
            raise SqlError(reason_of(error)) from error
    out.buffer.flush()
    return 0


def check_whole_numbers(statement: str, parameters: Mapping[str, Any]) -> None:
    """Refuse whole numbers beyond the type of their ``{name:Type}``: ClickHouse takes them modulo its width.

    Parameters
    ----------
    statement : str
        With the placeholders.
    parameters : mapping of str to value
        Their values; what is not a whole number is ClickHouse's to refuse.

    Raises
    ------
    SqlError
        For the first number that does not fit.
    """
    for name, unsigned, bits in _WHOLE.findall(statement):
        given = parameters.get(name)
        most = 2 ** (int(bits) - (not unsigned)) - 1
        least = 0 if unsigned else -most - 1
        for one in given if isinstance(given, list | tuple) else [given]:
            if isinstance(one, Integral) and not least <= int(one) <= most:
                raise SqlError(
                    f"{name} is {one}: {unsigned}Int{bits} goes from {least} to {most}; give a number between, or "
                    "the placeholder a wider type"
                )


def _table(client: Client, statement: str, parameters: Mapping[str, Any] | None) -> bytes:
    found: pa.Table = client.query_arrow(
        statement,
        parameters=dict(parameters or {}) or None,
        settings={"max_result_rows": TABLE_ROWS_MAX + 1, "result_overflow_mode": "break"},
    )
    shown = found.slice(0, TABLE_ROWS_MAX)
    table = Table(show_edge=False, header_style="bold")
    for name, kind in zip(shown.schema.names, shown.schema.types, strict=True):
        number = (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    columns = [_texts(column) for column in shown.columns]
    for row in zip(*columns, strict=True):
        table.add_row(*[Text(cell) for cell in row])
    console = Console(force_terminal=False, width=_width(columns, shown.schema.names))
    with console.capture() as captured:
        console.print(table)
        console.print(_count(found.num_rows))
    return captured.get().encode()


def _count(rows: int) -> str:
    if rows > TABLE_ROWS_MAX:
        return f"{TABLE_ROWS_MAX} rows shown, there are more: take --format csv"
    return "1 row" if rows == 1 else f"{rows} rows"


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Cells as text: times as ISO with their nanoseconds, null as NULL."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp(column.type.unit)).cast(pa.string())
    if pa.types.is_decimal(column.type):
        return [_decimal_text(value) for value in column.to_pylist()]
    return ["NULL" if value is None else str(value) for value in column.to_pylist()]


def _decimal_text(value: Decimal | None) -> str:
    """All its digits, without zeros at their end or an exponent."""
    return "NULL" if value is None else f"{value.normalize(_EXACT):f}"


def _width(columns: list[list[str]], names: list[str]) -> int:
    cells = [max([len(name), *map(len, texts)]) for name, texts in zip(names, columns, strict=True)]
    # No cell is cut: a result is read by pipes too.
    return max(sum(cells) + 3 * len(cells) + 2, 60)


def reason_of(error: DatabaseError) -> str:
    """ClickHouse's own message in an error of the protocol."""
    text = str(error)
    start = text.find("Code: ")
    return text[start:].split(" (for url", maxsplit=1)[0] if start >= 0 else text
