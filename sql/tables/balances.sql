-- Landed rows of balances/1: How an account's cash in one currency stands after it has changed.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS balances
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `sequence` Int64 COMMENT 'Of the account\'s rows here, from 1 on, without a gap.',
    `currency` LowCardinality(String) COMMENT 'Currency of the amounts, ISO 4217 or a coin\'s code.',
    `change` Decimal(38, 10) COMMENT '[the row\'s currency] By how much.',
    `balance` Decimal(38, 10) COMMENT '[the row\'s currency] What there is now.',
    `cause` LowCardinality(String) COMMENT 'What changed it.',
    `cause_id` String COMMENT 'Execution, movement or action that did.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`account`, `ts_event`, `sequence`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'balances/1: How an account\'s cash in one currency stands after it has changed.';
