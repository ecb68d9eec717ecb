-- Landed rows of marks/1: Prices that positions and checks go by: a symbol's newest, not more often than an interval allows.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS marks
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `bid` Nullable(Float64) COMMENT '[quote currency] Best bid; null where there is none.',
    `ask` Nullable(Float64) COMMENT '[quote currency] Best ask; null where there is none.',
    `last` Nullable(Float64) COMMENT '[quote currency] Price of the last trade; null before the first.',
    `price` Nullable(Float64) COMMENT '[quote currency] What positions are valued at: mid of bid and ask where these are not too far apart, else last.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts_event)
ORDER BY (`symbol`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16,
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'marks/1: Prices that positions and checks go by: a symbol\'s newest, not more often than an interval allows.';
