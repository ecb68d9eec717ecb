-- Landed rows of relative/1: How one symbol moves with its benchmark, after each of its bars.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS relative
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `benchmark` LowCardinality(String) COMMENT 'Symbol that it is compared with.',
    `interval` LowCardinality(String) COMMENT 'Interval of the bars that are compared.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the bar after which the values hold.' CODEC(Delta, LZ4),
    `beta` Nullable(Float64) COMMENT 'Slope of the symbol\'s returns from bar to bar on the benchmark\'s, by least squares; 0 where the benchmark did not move; null in the warm-up, and where either has no close at this end.',
    `correlation` Nullable(Float64) COMMENT '[-1 to 1] Correlation of the closes; 0 where either did not move; null as beta is.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`, `interval`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'relative/1: How one symbol moves with its benchmark, after each of its bars.';
