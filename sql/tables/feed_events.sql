-- Landed rows of feed_events/1: Something that a live adapter noticed about its source: no market data, but why some lacks.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS feed_events
(
    `source` LowCardinality(String) COMMENT 'Name of the live source, as in the header of its records.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the adapter noticed it, by the platform\'s clock.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] The same time: the platform is the source.' CODEC(Delta, LZ4),
    `kind` LowCardinality(String) COMMENT 'What: refused is a connection that was not made; gap and gap_filled tell of sequence numbers (expected, found); skipped counts messages left out by rule; behind is a row earlier than what the log has of its symbol.',
    `stream` LowCardinality(Nullable(String)) COMMENT 'Which of the source\'s streams it concerns, as the source names it; null for all.',
    `symbol` LowCardinality(Nullable(String)) COMMENT 'Instrument it concerns; null for the connection.',
    `expected` Nullable(UInt64) COMMENT 'Sequence number that was to come.',
    `found` Nullable(UInt64) COMMENT 'Sequence number that came.',
    `detail` Nullable(String) COMMENT 'What more there is to say, for people.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`source`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'feed_events/1: Something that a live adapter noticed about its source: no market data, but why some lacks.';
