-- Landed rows of accounts/1: What an account may do from here on; a later row replaces an earlier. Account * is all of them.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS accounts
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] From when on the row holds, by the wall clock.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `currency` LowCardinality(String) COMMENT 'Currency in which it is kept.',
    `type` LowCardinality(String) COMMENT 'Whether it may owe.',
    `leverage` Nullable(Decimal(38, 10)) COMMENT '[ratio] Of a margin account: buying power over equity; 2 where null (Regulation T, 12 CFR 220.12).',
    `max_order_quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] Largest quantity of one order; null for no limit.',
    `max_order_notional` Nullable(Decimal(38, 10)) COMMENT '[the account\'s currency] Largest value of one order; null for no limit.',
    `max_position_quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] Largest position in one symbol, open orders counted; null for no limit.',
    `max_position_notional` Nullable(Decimal(38, 10)) COMMENT '[the account\'s currency] The same, by value; null for no limit.',
    `max_gross_notional` Nullable(Decimal(38, 10)) COMMENT '[the account\'s currency] Largest sum of all positions\' values, open orders counted; null for no limit.',
    `price_collar` Nullable(Decimal(38, 10)) COMMENT '[ratio] How far beyond the best price of the other side a limit may be, as a share of it; null for no limit.',
    `max_orders_per_second` Nullable(Int64) COMMENT '[1/s] Commands within any second of entry time; null for no limit.',
    `duplicate_window_ms` Nullable(Int64) COMMENT '[ms] An order equal to one of so short before is refused; null for no such check.',
    `restricted` Nullable(String) COMMENT 'Symbols that may not be traded, with commas.',
    `easy_to_borrow` Nullable(String) COMMENT 'Symbols that are sold short without a locate, with commas.',
    `self_trade_allowed` Bool COMMENT 'Whether its orders may meet each other.',
    `halted` Bool COMMENT 'The kill switch: no new orders.',
    `user` String COMMENT 'Who said so.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYear(ts_event)
ORDER BY (`account`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'accounts/1: What an account may do from here on; a later row replaces an earlier. Account * is all of them.';
