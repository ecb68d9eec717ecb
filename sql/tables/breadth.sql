-- Landed rows of breadth/1: How the symbols of a universe did in an interval; the highest revision holds.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS breadth
(
    `universe` LowCardinality(String) COMMENT 'ALL, a sector of `instruments`, or a list of symbols that the parameters name.',
    `interval` LowCardinality(String) COMMENT 'Interval of the bars that are counted.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval.' CODEC(Delta, LZ4),
    `revision` Int64 COMMENT '0 for the first row of the interval, 1 more for each bar that came behind it.',
    `members` Int64 COMMENT '[symbols] Symbols with a bar in the interval.',
    `advances` Int64 COMMENT '[symbols] Symbols that closed above their previous session\'s close.',
    `declines` Int64 COMMENT '[symbols] Symbols that closed below it.',
    `unchanged` Int64 COMMENT '[symbols] Symbols that closed at it.',
    `net_advances` Int64 COMMENT '[symbols] Advances less declines.',
    `new_highs` Int64 COMMENT '[symbols] Symbols with a new high over the sessions looked back on.',
    `new_lows` Int64 COMMENT '[symbols] Symbols with a new low over the sessions looked back on.',
    `up_volume` Float64 COMMENT '[shares, contracts or coins] Volume in the interval of symbols that advanced.',
    `down_volume` Float64 COMMENT '[shares, contracts or coins] Volume in the interval of symbols that declined.',
    `volume` Float64 COMMENT '[shares, contracts or coins] Volume in the interval of all symbols.',
    `trin` Nullable(Float64) COMMENT 'Arms index: (advances / declines) / (up_volume / down_volume); null if undefined.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`universe`, `ts_event`, `interval`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'breadth/1: How the symbols of a universe did in an interval; the highest revision holds.';
