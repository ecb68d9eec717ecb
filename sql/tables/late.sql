-- Landed rows of late/1: A window of a flow that a row came too late for.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS late
(
    `key` LowCardinality(String) COMMENT 'Key of the late row.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] The late row\'s event time.' CODEC(Delta, LZ4),
    `flow` LowCardinality(String) COMMENT 'The flow that could not use the row.',
    `source_topic` LowCardinality(String) COMMENT 'Input topic of the late row.',
    `source_partition` Nullable(Int32) COMMENT 'Its partition; null for a derived input.',
    `source_offset` Nullable(Int64) COMMENT 'Its offset; null for a derived input.',
    `source_row` Nullable(Int32) COMMENT 'Its row in the record; null for a derived input.',
    `source_identity` Nullable(String) COMMENT 'Identity fields of the row as JSON, for a derived input; null for a raw one.',
    `window` LowCardinality(String) COMMENT 'Which of the flow\'s windows was closed, such as the bar interval.',
    `ts_window_end` Nullable(DateTime64(9, 'UTC')) COMMENT '[ns since 1970-01-01 UTC] End of the closed window; null where the row was behind its input\'s frontier.' CODEC(Delta, LZ4),
    `ts_frontier` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] The key\'s frontier when the row came.' CODEC(Delta, LZ4),
    `used` Bool COMMENT 'Whether the row entered another window of the flow; if not, it is a late row.',
    `reason` LowCardinality(String) COMMENT 'Why the row did not take part: what was needed and what came.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`key`, `ts_event`, `flow`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'late/1: A window of a flow that a row came too late for.';
