-- Landed rows of source_lags/1: How one source of an instrument kept up with the others in one interval.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS source_lags
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `venue` LowCardinality(String) COMMENT 'The source.',
    `interval` LowCardinality(String) COMMENT 'Length of the interval: a number and s, m or h, on the UTC grid.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval, exclusive.' CODEC(Delta, LZ4),
    `updates` Int64 COMMENT '[rows] Rows of the source in the interval.',
    `age` Nullable(Float64) COMMENT '[s] Time from its last row to the end of the interval.',
    `moves` Int64 COMMENT '[moves] Changes of its mid in the interval.',
    `leads` Int64 COMMENT '[moves] Those that other sources had not made when it made them.',
    `follows` Int64 COMMENT '[moves] Those in the direction of another source\'s move before it.',
    `lag_mean` Nullable(Float64) COMMENT '[s] Mean time from the move followed to its own; null where it followed none.',
    `lag_max` Nullable(Float64) COMMENT '[s] Longest such time; null where it followed none.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`, `interval`, `venue`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'source_lags/1: How one source of an instrument kept up with the others in one interval.';
