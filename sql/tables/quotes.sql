-- Landed rows of quotes/1: A change of the best bid, the best ask or both at one venue.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS quotes
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `venue` LowCardinality(String) COMMENT 'Exchange, dealer or trade reporting facility that the row speaks of.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it happened at the source.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `bid` Nullable(Float64) COMMENT '[quote currency] Best bid price; null where the row does not speak of the bid side.',
    `bid_size` Nullable(Float64) COMMENT '[shares, contracts or coins] Size at the best bid; zero where the venue has no bid any more.',
    `ask` Nullable(Float64) COMMENT '[quote currency] Best ask price; null where the row does not speak of the ask side.',
    `ask_size` Nullable(Float64) COMMENT '[shares, contracts or coins] Size at the best ask; zero where the venue has no ask any more.',
    `condition` LowCardinality(Nullable(String)) COMMENT 'Quote condition as the source codes it; then ;best if the tape names the row the national best of its side, and ;suspicious if flagged so.',
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
COMMENT 'quotes/1: A change of the best bid, the best ask or both at one venue.';
