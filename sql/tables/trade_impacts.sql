-- Landed rows of trade_impacts/1: What became of the price after a trade, known a horizon later: realised spread and impact.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS trade_impacts
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the horizon, when it is known; with status queue_full the trade\'s time.' CODEC(Delta, LZ4),
    `number` Int64 COMMENT '[rows] The trade\'s number in trade_signs.',
    `ts_trade` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the trade happened.' CODEC(Delta, LZ4),
    `price` Float64 COMMENT '[quote currency] Price of the trade.',
    `size` Float64 COMMENT '[shares, contracts or coins] Quantity of the trade.',
    `side` LowCardinality(Nullable(String)) COMMENT 'As in trade_signs.',
    `mid` Nullable(Float64) COMMENT '[quote currency] As in trade_signs.',
    `mid_after` Nullable(Float64) COMMENT '[quote currency] The mid at the end of the horizon; null without.',
    `effective_spread` Nullable(Float64) COMMENT '[quote currency] As in trade_signs; realized_spread + price_impact.',
    `realized_spread` Nullable(Float64) COMMENT '[quote currency] 2 D (price - mid_after), D 1 for buy and -1 for sell.',
    `price_impact` Nullable(Float64) COMMENT '[quote currency] 2 D (mid_after - mid).',
    `status` LowCardinality(String) COMMENT 'measured, or why not: the trade has no side, no mid before or after it, or more trades of the symbol waited than are kept.',
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
COMMENT 'trade_impacts/1: What became of the price after a trade, known a horizon later: realised spread and impact.';
