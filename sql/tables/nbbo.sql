-- Landed rows of nbbo/1: The best bid and offer over all venues, from a change of price, size or venues on.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS nbbo
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] From when on it stands; never goes back within a symbol.' CODEC(Delta, LZ4),
    `number` Int64 COMMENT '[rows] Ordinal of the row among the symbol\'s, from 1: it orders rows of equal time.',
    `bid` Nullable(Float64) COMMENT '[quote currency] Highest bid of the venues that count; null where none bids.',
    `bid_size` Nullable(Float64) COMMENT '[shares, contracts or coins] Size at the best bid, by the flow\'s size policy; null with bid.',
    `bid_venues` LowCardinality(Nullable(String)) COMMENT 'Venues that bid the best, in alphabetical order, commas between them.',
    `ask` Nullable(Float64) COMMENT '[quote currency] Lowest ask of the venues that count; null where none asks.',
    `ask_size` Nullable(Float64) COMMENT '[shares, contracts or coins] Size at the best ask, by the flow\'s size policy; null with ask.',
    `ask_venues` LowCardinality(Nullable(String)) COMMENT 'Venues that ask the best, in alphabetical order, commas between them.',
    `state` LowCardinality(String) COMMENT 'normal (bid below ask), locked (equal), crossed (bid above ask), one_sided or empty.',
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
COMMENT 'nbbo/1: The best bid and offer over all venues, from a change of price, size or venues on.';
