-- Landed rows of indicators/1: The value of one indicator after one bar.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS indicators
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `interval` LowCardinality(String) COMMENT 'Interval of the bars that the indicator is computed from.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the bar after which the value holds.' CODEC(Delta, LZ4),
    `name` LowCardinality(String) COMMENT 'Indicator, parameters and output, such as rsi_14 or macd_12_26_9_signal.',
    `value` Nullable(Float64) COMMENT '[as the indicator\'s definition says] The value; null while the indicator warms up or is undefined.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`, `interval`, `name`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'indicators/1: The value of one indicator after one bar.';
