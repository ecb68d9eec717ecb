-- Landed rows of lot_closings/1: A lot, or a part of one, that was closed.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS lot_closings
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `sequence` Int64 COMMENT 'Of the account\'s rows here, from 1 on, without a gap.',
    `strategy` LowCardinality(String) COMMENT 'Strategy that it is for; empty for none.',
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `lot_id` String COMMENT 'Execution that opened the lot.',
    `execution_id` String COMMENT 'Execution, or corporate action, that closed it.',
    `method` LowCardinality(String) COMMENT 'How the lot was chosen.',
    `ts_opened` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it was opened.' CODEC(Delta, LZ4),
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] How much was closed; negative of a short lot.',
    `cost` Decimal(38, 10) COMMENT '[the row\'s currency] What it had cost.',
    `proceeds` Decimal(38, 10) COMMENT '[the row\'s currency] What it brought.',
    `realised` Decimal(38, 10) COMMENT '[the row\'s currency] Proceeds less cost.',
    `currency` LowCardinality(String) COMMENT 'Currency of the amounts, ISO 4217 or a coin\'s code.',
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
COMMENT 'lot_closings/1: A lot, or a part of one, that was closed.';
