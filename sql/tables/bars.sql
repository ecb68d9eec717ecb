-- Landed rows of bars/1: Open, high, low, close and volume of one symbol in one interval.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS bars
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `interval` LowCardinality(String) COMMENT 'Length of the bar: a number and s, m, h (UTC grid) or 1d (the calendar\'s session).',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval, exclusive: from then on the bar is known.' CODEC(Delta, LZ4),
    `ts_start` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Start of the interval, inclusive.' CODEC(Delta, LZ4),
    `open` Nullable(Float64) COMMENT '[quote currency] First price; null where no trade could set one.',
    `high` Nullable(Float64) COMMENT '[quote currency] Highest price; null where no trade could set one.',
    `low` Nullable(Float64) COMMENT '[quote currency] Lowest price; null where no trade could set one.',
    `close` Nullable(Float64) COMMENT '[quote currency] Last price; null where no trade could set one.',
    `volume` Float64 COMMENT '[shares, contracts or coins] Sum of the sizes that count.',
    `trade_count` Int64 COMMENT '[trades] Trades in the interval, whatever their conditions; 0 if forward-filled, or if every trade was cancelled (then all prices are null).',
    `vwap` Nullable(Float64) COMMENT '[quote currency] Volume-weighted mean price of the trades that count; null without any.',
    `buy_volume` Float64 COMMENT '[shares, contracts or coins] The part of volume whose aggressor bought.',
    `sell_volume` Float64 COMMENT '[shares, contracts or coins] The part of volume whose aggressor sold.',
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
COMMENT 'bars/1: Open, high, low, close and volume of one symbol in one interval.';
