-- Landed rows of scans/1: A symbol begins or ceases to match a saved expression.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS scans
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `scan` LowCardinality(String) COMMENT 'Name of the saved expression.',
    `interval` LowCardinality(String) COMMENT 'Interval of the bars that the expression is asked of.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the bar after which it holds, or holds no more.' CODEC(Delta, LZ4),
    `state` LowCardinality(String) COMMENT 'Whether the symbol began to match or ceased to.',
    `expression` LowCardinality(String) COMMENT 'The expression as it is saved.',
    `terms` String COMMENT 'JSON object: each criterion in the expression, and its value; null if undefined.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`, `scan`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'scans/1: A symbol begins or ceases to match a saved expression.';
