-- Landed rows of positions/1: How a position stands after it, or what it is worth, has changed.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS positions
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `sequence` Int64 COMMENT 'Of the account\'s rows here, from 1 on, without a gap.',
    `strategy` LowCardinality(String) COMMENT 'Strategy that it is for; empty for none.',
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] What is held; negative where short.',
    `average_cost` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Cost of one, rounded half-even at ten decimals; null where flat.',
    `cost` Decimal(38, 10) COMMENT '[the row\'s currency] Cost of all open lots, fees of the trades not counted.',
    `mark` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Price that it is valued at.',
    `value` Nullable(Decimal(38, 10)) COMMENT '[the row\'s currency] Quantity times mark, rounded half-even to the minor unit.',
    `unrealised` Nullable(Decimal(38, 10)) COMMENT '[the row\'s currency] Value less cost.',
    `realised` Decimal(38, 10) COMMENT '[the row\'s currency] Profit of closed lots so far, fees not counted.',
    `dividends` Decimal(38, 10) COMMENT '[the row\'s currency] Dividends so far in this currency; negative where owed.',
    `fees` Decimal(38, 10) COMMENT '[the row\'s currency] Fees so far.',
    `currency` LowCardinality(String) COMMENT 'Currency of the amounts, ISO 4217 or a coin\'s code.',
    `fx_rate` Nullable(Decimal(38, 10)) COMMENT '[quote currency] What one unit of the currency is in the account\'s, by marks; null where none tells.',
    `cause` LowCardinality(String) COMMENT 'What changed it.',
    `cause_id` Nullable(String) COMMENT 'Execution or action that did.',
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
COMMENT 'positions/1: How a position stands after it, or what it is worth, has changed.';
