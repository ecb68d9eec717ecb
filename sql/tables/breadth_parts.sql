-- Landed rows of breadth_parts/1: What one symbol's bar says to one universe, or that the symbol has passed an interval.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS breadth_parts
(
    `universe` LowCardinality(String) COMMENT 'ALL, a sector of `instruments`, or a list of symbols that the parameters name.',
    `interval` LowCardinality(String) COMMENT 'Interval of the bar.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval.' CODEC(Delta, LZ4),
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `has_bar` Bool COMMENT 'False where the symbol has passed the interval and had no bar in it.',
    `direction` Nullable(Int32) COMMENT 'Sign of close less the previous session\'s close; null while there is none.',
    `is_new_high` Bool COMMENT 'Whether the high is above all highs of the sessions looked back on.',
    `is_new_low` Bool COMMENT 'Whether the low is below all lows of the sessions looked back on.',
    `close` Nullable(Float64) COMMENT '[quote currency] Close of the bar; null without a bar or where no trade could set one.',
    `volume` Float64 COMMENT '[shares, contracts or coins] Volume of the bar; 0 without a bar.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`universe`, `ts_event`, `interval`, `symbol`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'breadth_parts/1: What one symbol\'s bar says to one universe, or that the symbol has passed an interval.';
