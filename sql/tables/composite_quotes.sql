-- Landed rows of composite_quotes/1: What all fresh sources of an instrument say together, from a change on.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS composite_quotes
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] From when on it stands; never goes back within a symbol.' CODEC(Delta, LZ4),
    `number` Int64 COMMENT '[rows] Ordinal of the row among the symbol\'s, from 1: it orders rows of equal time.',
    `bid` Nullable(Float64) COMMENT '[quote currency] Highest bid of the fresh sources; null where none bids.',
    `bid_venues` LowCardinality(Nullable(String)) COMMENT 'Sources that bid it, in alphabetical order, commas between.',
    `ask` Nullable(Float64) COMMENT '[quote currency] Lowest ask of the fresh sources; null where none asks.',
    `ask_venues` LowCardinality(Nullable(String)) COMMENT 'Sources that ask it, in alphabetical order, commas between.',
    `mid_median` Nullable(Float64) COMMENT '[quote currency] Median of the mids of fresh two-sided sources; null without any.',
    `sources` Int64 COMMENT '[sources] Fresh sources with both sides, whose mids the median is of.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts_event)
ORDER BY (`symbol`, `ts_event`, `number`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16,
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'composite_quotes/1: What all fresh sources of an instrument say together, from a change on.';
