-- Landed rows of dead_letter/1: A record or row that was rejected, with the reason and its bytes.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS dead_letter
(
    `source_topic` LowCardinality(String) COMMENT 'Inbox, file or live source that the rejected row came from.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the rejected record was appended to the log.' CODEC(Delta, LZ4),
    `source_partition` Nullable(Int32) COMMENT 'Log partition of the row; null for a file.',
    `source_offset` Nullable(Int64) COMMENT 'Log offset of the record that holds the row, line number in a file (from 1), or receive time of a live source\'s message (ns since 1970 UTC).',
    `source_row` Nullable(Int32) COMMENT 'Row within the record; null where the record could not be split into rows.',
    `reason` LowCardinality(String) COMMENT 'Why the row did not take part: what was needed and what came.',
    `payload` Nullable(String) COMMENT '[bytes] The record\'s bytes, or the row\'s as JSON; null for an empty record, or one of more than 32 MiB.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`source_topic`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'dead_letter/1: A record or row that was rejected, with the reason and its bytes.';
