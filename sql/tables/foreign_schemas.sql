-- Landed rows of foreign_schemas/1: What a schema registry told of an identifier that foreign records name.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS foreign_schemas
(
    `schema_id` LowCardinality(String) COMMENT 'Identifier of the schema in the registry, as a decimal number.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the registry was asked.' CODEC(Delta, LZ4),
    `schema_type` LowCardinality(Nullable(String)) COMMENT 'Kind of schema, such as AVRO; null where the registry has none.',
    `schema_text` Nullable(String) COMMENT 'The schema as the registry has it; null where its records cannot be decoded.',
    `reason` Nullable(String) COMMENT 'Why its records cannot be decoded; null where they can.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYear(ts_event)
ORDER BY (`schema_id`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'foreign_schemas/1: What a schema registry told of an identifier that foreign records name.';
