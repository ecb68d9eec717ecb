"""The committed tables are those the declarations give, and ClickHouse takes them."""

import subprocess
import sys

import pyarrow as pa
import pytest

from schemas.clickhouse_ddl import TABLES, create_table, table_file
from schemas.landed import landed_schema
from schemas.registry import TOPICS
from schemas.topic import Topic
from tests.golden.rows import ALL

# chDB allows one path a process, and other tests of this process have one: hence a process of its own.
_PROGRAM = """
import sys
import chdb

connection = chdb.connect(":memory:")
for path in sys.argv[1:]:
    connection.query(open(path, encoding="utf-8").read())
columns = connection.query(
    "SELECT table, name, type, compression_codec FROM system.columns WHERE database = currentDatabase() "
    "ORDER BY table, position", "TSV"
)
tables = connection.query(
    "SELECT name, partition_key, sorting_key FROM system.tables "
    "WHERE database = currentDatabase() ORDER BY name", "TSV"
)
print(columns.bytes().decode() + "--\\n" + tables.bytes().decode(), end="")
"""


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_the_committed_table_is_the_derived_one(topic: Topic) -> None:
    committed = (TABLES / f"{topic.name}.sql").read_text(encoding="utf-8")
    assert committed == table_file(topic), "run `python -m schemas.clickhouse_ddl`"


def test_there_is_no_table_without_a_topic() -> None:
    assert sorted(path.stem for path in TABLES.glob("*.sql")) == sorted(TOPICS)


def test_clickhouse_makes_the_tables_with_every_column_key_and_partition() -> None:
    paths = [str(TABLES / f"{name}.sql") for name in TOPICS]
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *paths], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    columns, tables = (part.splitlines() for part in ran.stdout.split("--\n"))
    found: dict[str, list[tuple[str, str]]] = {}
    for line in columns:
        table, name, kind, codec = line.split("\t")
        found.setdefault(table, []).append((name, kind.replace("\\'", "'")))
        grows = "DateTime64" in kind or name == "_offset"
        assert codec == ("CODEC(Delta(8), LZ4)" if grows else ""), (table, name)
    for topic in ALL:
        assert [name for name, _ in found[topic.name]] == landed_schema(topic).names
        for name, kind in found[topic.name]:
            assert ("Nullable" in kind) == landed_schema(topic).field(name).nullable
            assert ("LowCardinality" in kind) == pa.types.is_dictionary(
                landed_schema(topic).field(name).type
            )
        assert dict(found[topic.name])["_appended"] == "DateTime64(9, 'UTC')"
    keys = {line.split("\t")[0]: line.split("\t")[1:] for line in tables}
    assert keys["trades"] == ["toYYYYMMDD(ts_event)", "symbol, ts_event"]
    assert keys["bars"] == ["toYYYYMM(ts_event)", "symbol, ts_event, interval"]


def test_a_quote_in_a_meaning_stays_within_its_comment() -> None:
    statement = create_table(TOPICS["trades"])
    assert "COMMENT 'The venue\\'s name of the trade; null where it gives none.'" in statement


def test_landed_rows_keep_units_and_meanings_and_have_positions() -> None:
    schema = landed_schema(TOPICS["trades"])
    assert schema.names[-4:] == ["_partition", "_offset", "_row", "_appended"]
    assert schema.field("price").metadata[b"unit"] == b"quote currency"
    assert schema.metadata == {b"topic": b"trades", b"version": b"1"}
