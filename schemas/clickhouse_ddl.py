"""ClickHouse tables derived from the topics; ``python -m schemas.clickhouse_ddl`` writes sql/tables/.

A table has the topic's columns and the position of each row. Its engine is a plain MergeTree: rows are
inserted once because the lander's insert tokens are remembered, not because rows are merged away.
"""

from pathlib import Path

import pyarrow as pa

from schemas.field import (
    BOOL,
    BYTES,
    CATEGORY,
    DECIMAL,
    FLOAT,
    INT32,
    INT64,
    TEXT,
    TIMESTAMP,
    UINT64,
)
from schemas.landed import landed_schema
from schemas.registry import TOPICS
from schemas.topic import Partition, Topic

TABLES = Path(__file__).resolve().parents[1] / "sql" / "tables"

# A token is needed only for as long as a crashed lander may repeat an insert: one intent. So many
# blocks are hours of landing, and cost a few MB.
_REMEMBERED_INSERTS = 10_000
# Fewer and larger merges of the small parts that live landing writes twenty times a second: with the
# default, merges took a third of the store's processor time.
_PARTS_AT_ONCE = 16
# A day that nothing was inserted into for an hour becomes one part: with five, a query of one symbol and
# day takes half as long again. Not so for months and years, which would be written anew every night.
_QUIET_S = 3600
# ClickHouse takes ZSTD for parts above 100 MB; with LZ4 a day is scanned 1.4 to 1.8 times as fast, from up to twice the
# disk (docs/operations.md says how to choose otherwise). Differences of what grows from row to row take a third off.
_CODEC = "LZ4"
_GROWING_CODEC = "Delta, LZ4"
# Most questions are for a symbol and an hour or a day: a quarter of the usual granule takes a twelfth off a page and a
# twentieth off a day's trades with their quotes. Scans lose a sixth, less than LZ4 gives them.
_GRANULE_ROWS = 2048
_BLOCK_BYTES = 16_384

_TYPES = {
    TIMESTAMP: "DateTime64(9, 'UTC')",
    FLOAT: "Float64",
    BOOL: "Bool",
    INT32: "Int32",
    INT64: "Int64",
    UINT64: "UInt64",
    TEXT: "String",
    BYTES: "String",
    DECIMAL: "Decimal(38, 10)",
}
_PARTITIONS = {
    Partition.DAY: "toYYYYMMDD",
    Partition.MONTH: "toYYYYMM",
    Partition.YEAR: "toYear",
}


def create_table(topic: Topic) -> str:
    """The ``CREATE TABLE IF NOT EXISTS`` statement of a topic, without a semicolon."""
    columns = ",\n".join(f"    {_column(field)}" for field in landed_schema(topic))
    order = ", ".join(f"`{name}`" for name in topic.landing.order_by)
    partition = f"{_PARTITIONS[topic.landing.partition_by]}({topic.event_time})"
    settings = (
        f"index_granularity = {_GRANULE_ROWS}, min_compress_block_size = {_BLOCK_BYTES}, "
        f"default_compression_codec = {_quoted(_CODEC)},\n"
        f"    non_replicated_deduplication_window = {_REMEMBERED_INSERTS}, "
        f"min_parts_to_merge_at_once = {_PARTS_AT_ONCE}"
    )
    if topic.landing.partition_by is Partition.DAY:
        settings += (
            f",\n    min_age_to_force_merge_seconds = {_QUIET_S}, "
            "min_age_to_force_merge_on_partition_only = 1"
        )
    return (
        f"CREATE TABLE IF NOT EXISTS {topic.name}\n(\n{columns}\n)\n"
        "ENGINE = MergeTree\n"
        f"PARTITION BY {partition}\n"
        f"ORDER BY ({order})\n"
        f"SETTINGS {settings}\n"
        f"COMMENT {_quoted(topic.identifier + ': ' + topic.meaning)}"
    )


def table_file(topic: Topic) -> str:
    """Content of ``sql/tables/<topic>.sql``: what it is for, and the statement."""
    return (
        f"-- Landed rows of {topic.identifier}: {topic.meaning}\n"
        "-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.\n"
        f"{create_table(topic)};\n"
    )


def _column(field: pa.Field) -> str:
    nullable = field.nullable
    if field.type == CATEGORY:
        kind = "LowCardinality(Nullable(String))" if nullable else "LowCardinality(String)"
    else:
        kind = f"Nullable({_TYPES[field.type]})" if nullable else _TYPES[field.type]
    unit, meaning = (field.metadata[part].decode() for part in (b"unit", b"meaning"))
    comment = meaning if unit == "none" else f"[{unit}] {meaning}"
    grows = field.type == TIMESTAMP or field.name == "_offset"
    codec = f" CODEC({_GROWING_CODEC})" if grows else ""
    # A field may have a name that is a word of SQL, such as index.
    return f"`{field.name}` {kind} COMMENT {_quoted(comment)}{codec}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _main() -> None:
    TABLES.mkdir(parents=True, exist_ok=True)
    for topic in TOPICS.values():
        (TABLES / f"{topic.name}.sql").write_text(table_file(topic), encoding="utf-8")


if __name__ == "__main__":
    _main()
