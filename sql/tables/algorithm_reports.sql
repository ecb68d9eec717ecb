-- Landed rows of algorithm_reports/1: What an algorithm has achieved with an order, against the usual benchmarks, when it has ended.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS algorithm_reports
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `side` LowCardinality(String) COMMENT 'Buy, sell, or sell what is borrowed.',
    `algorithm` LowCardinality(String) COMMENT 'Which.',
    `ts_begin` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it began.' CODEC(Delta, LZ4),
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Ordered.',
    `filled_quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Filled.',
    `children` Int64 COMMENT 'Orders that it sent; 0 where it ended before its first.',
    `average_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Of what was filled.',
    `arrival_price` Nullable(Float64) COMMENT '[quote currency] Mid when it began.',
    `vwap` Nullable(Float64) COMMENT '[quote currency] Volume-weighted price of the market\'s trades meanwhile.',
    `twap` Nullable(Float64) COMMENT '[quote currency] Time-weighted mid meanwhile.',
    `slippage_arrival` Nullable(Float64) COMMENT '[basis points] Against arrival; positive is worse.',
    `slippage_vwap` Nullable(Float64) COMMENT '[basis points] Against that VWAP; positive is worse.',
    `slippage_twap` Nullable(Float64) COMMENT '[basis points] Against that TWAP; positive is worse.',
    `participation` Nullable(Float64) COMMENT '[ratio] Filled over the market\'s volume meanwhile.',
    `note` Nullable(String) COMMENT 'What was guessed because it was not known, and how it ended.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`account`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'algorithm_reports/1: What an algorithm has achieved with an order, against the usual benchmarks, when it has ended.';
