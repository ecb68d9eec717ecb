-- Landed rows of cash_movements/1: Cash that comes into an account or leaves it, but for trading.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS cash_movements
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it was booked.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `movement_id` String COMMENT 'Identifier; one that was seen in the account already changes nothing.',
    `kind` LowCardinality(String) COMMENT 'What it is.',
    `amount` Decimal(38, 10) COMMENT '[the row\'s currency] What comes in; negative goes out.',
    `currency` LowCardinality(String) COMMENT 'Currency of the amounts, ISO 4217 or a coin\'s code.',
    `method` LowCardinality(Nullable(String)) COMMENT 'How it was paid (ach, wire, card, …).',
    `counterparty` Nullable(String) COMMENT 'Where from or to.',
    `reference` Nullable(String) COMMENT 'Words that came with it.',
    `user` Nullable(String) COMMENT 'Who booked it.',
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
COMMENT 'cash_movements/1: Cash that comes into an account or leaves it, but for trading.';
