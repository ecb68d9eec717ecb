-- Landed rows of audit_log/1: Something that somebody did at the door, or tried to.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS audit_log
(
    `actor` LowCardinality(String) COMMENT 'User, or what was given as one.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When, by the wall clock.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `sequence` Int64 COMMENT 'Of the whole log, from 1 on, without a gap.',
    `action` LowCardinality(String) COMMENT 'What, such as sign_in or order_new.',
    `subject` Nullable(String) COMMENT 'On what: an order, an account, a user, a statement; null for none.',
    `result` LowCardinality(String) COMMENT 'How it ended.',
    `reason` Nullable(String) COMMENT 'Why it was refused or failed.',
    `origin` Nullable(String) COMMENT 'Address that the request came from.',
    `device` Nullable(String) COMMENT 'What the client calls itself.',
    `correlation_id` Nullable(String) COMMENT 'Identifier of the request that began it, as in logs.',
    `previous_hash` String COMMENT 'Hash of the row before, hexadecimal; 64 zeros in the first.',
    `hash` String COMMENT 'SHA-256 of the row\'s other fields (but ts_recv) and previous_hash, hexadecimal.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`actor`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'audit_log/1: Something that somebody did at the door, or tried to.';
