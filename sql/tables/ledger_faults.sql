-- Landed rows of ledger_faults/1: Something that the ledger could not book as it came, and what it did instead.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS ledger_faults
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `sequence` Int64 COMMENT 'Of the account\'s rows here, from 1 on, without a gap.',
    `kind` LowCardinality(String) COMMENT 'What is wrong: too_large, incomplete_action and nothing_left changed nothing; in place of an unknown_lot the oldest were closed; lots_joined made one of the two oldest lots; a late_action came after its time and holds for what was held when it came; what was repeated, as it was told before under its identifier, is booked once, and so is what is conflicting, which said something else then: what came first stands.',
    `cause_id` String COMMENT 'Execution, movement or action that it is about.',
    `symbol` LowCardinality(Nullable(String)) COMMENT 'Instrument, as the source names it, in upper case.',
    `reason` String COMMENT 'In words, with what was needed and what came.',
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
COMMENT 'ledger_faults/1: Something that the ledger could not book as it came, and what it did instead.';
