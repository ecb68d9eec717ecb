-- Landed rows of quote_bars/1: Mid price and spread of one symbol's best bid and offer in one interval.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS quote_bars
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `interval` LowCardinality(String) COMMENT 'Length of the bar: a number and s, m, h (UTC grid) or 1d (the calendar\'s session).',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval, exclusive: from then on the bar is known.' CODEC(Delta, LZ4),
    `ts_start` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Start of the interval, inclusive.' CODEC(Delta, LZ4),
    `open` Nullable(Float64) COMMENT '[quote currency] Mid that stood at the start, or the first one told; null without any.',
    `high` Nullable(Float64) COMMENT '[quote currency] Highest mid that stood; null without any.',
    `low` Nullable(Float64) COMMENT '[quote currency] Lowest mid that stood; null without any.',
    `close` Nullable(Float64) COMMENT '[quote currency] Last mid that stood; null without any.',
    `mid` Nullable(Float64) COMMENT '[quote currency] Mean mid, weighted by the time it stood; null where none stood for any time.',
    `spread` Nullable(Float64) COMMENT '[quote currency] Mean of ask less bid, weighted by the time it stood; null where none stood.',
    `quoted_ns` Int64 COMMENT '[ns] How long a mid stood in the interval.',
    `quote_count` Int64 COMMENT '[rows] Rows of nbbo in the interval; at least one.',
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
COMMENT 'quote_bars/1: Mid price and spread of one symbol\'s best bid and offer in one interval.';
