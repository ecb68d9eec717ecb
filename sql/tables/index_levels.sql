-- Landed rows of index_levels/1: The level of an index: weighted sum of its members' prices over a divisor.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS index_levels
(
    `symbol` LowCardinality(String) COMMENT 'Name of the index in the parameters.',
    `interval` LowCardinality(String) COMMENT 'Interval of the bars whose closes are used.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval.' CODEC(Delta, LZ4),
    `level` Float64 COMMENT '[index points] Sum over the members of weight times close, divided by the divisor.',
    `divisor` Float64 COMMENT '[quote currency per index point] As given, or as it makes the level the base level at the base time.',
    `members` Int64 COMMENT '[symbols] Members with a close in the interval; the others count with their last one.',
    `stale` Int64 COMMENT '[symbols] Members that had not passed the interval when it had waited long enough.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`, `interval`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'index_levels/1: The level of an index: weighted sum of its members\' prices over a divisor.';
