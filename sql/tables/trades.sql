-- Landed rows of trades/1: A trade print, or the correction or cancellation of one.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS trades
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `venue` LowCardinality(String) COMMENT 'Exchange, dealer or trade reporting facility that the row speaks of.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it happened at the source.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `price` Float64 COMMENT '[quote currency] Price of one share, contract or coin.',
    `size` Float64 COMMENT '[shares, contracts or coins] Quantity traded.',
    `side` LowCardinality(Nullable(String)) COMMENT 'Side of the aggressor; null where the source does not say.',
    `conditions` LowCardinality(Nullable(String)) COMMENT 'Sale conditions as the source codes them; ends in ;suspicious if flagged so.',
    `updates_high_low` Bool COMMENT 'Whether the sale conditions let the trade set a bar\'s high and low.',
    `updates_last` Bool COMMENT 'Whether the sale conditions let the trade set a bar\'s open and close.',
    `updates_volume` Bool COMMENT 'Whether the sale conditions let the trade count in a bar\'s volume.',
    `trade_id` Nullable(String) COMMENT 'The venue\'s name of the trade; null where it gives none.',
    `action` LowCardinality(String) COMMENT 'Whether the row is a trade, or corrects or cancels an earlier one.',
    `ref_trade_id` Nullable(String) COMMENT 'The trade_id that a correction or cancellation refers to.',
    `ts_ref` Nullable(DateTime64(9, 'UTC')) COMMENT '[ns since 1970-01-01 UTC] The ts_event of the trade that a correction or cancellation refers to.' CODEC(Delta, LZ4),
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
COMMENT 'trades/1: A trade print, or the correction or cancellation of one.';
