-- Landed rows of vendor_bars/1: Open, high, low and close of one symbol in one interval, as a vendor gives them.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS vendor_bars
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `venue` LowCardinality(Nullable(String)) COMMENT 'Exchange or dealer of the prices; null where consolidated or not said.',
    `interval` LowCardinality(String) COMMENT 'Length of the bar: a number and s, m, h or d; 1d is a calendar day in the market\'s time zone.',
    `price_type` LowCardinality(String) COMMENT 'Which price the bar is of.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] End of the interval, exclusive: from then on the bar is known.' CODEC(Delta, LZ4),
    `ts_start` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Start of the interval, inclusive.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `open` Float64 COMMENT '[quote currency] First price.',
    `high` Float64 COMMENT '[quote currency] Highest price.',
    `low` Float64 COMMENT '[quote currency] Lowest price.',
    `close` Float64 COMMENT '[quote currency] Last price.',
    `close_size` Nullable(Float64) COMMENT '[shares, contracts or coins] Of bid and ask bars: size at the last price; null where the vendor does not say.',
    `volume` Nullable(Float64) COMMENT '[shares, contracts or coins; quote currency where the vendor counts in it] Quantity traded, as the vendor counts it; null where it does not say.',
    `adjusted_close` Nullable(Float64) COMMENT '[quote currency] Close adjusted by the vendor for later splits and dividends; null where not said.',
    `dividend` Nullable(Float64) COMMENT '[quote currency] Cash dividend a share whose ex-date the bar is, 0 if none; null where not said.',
    `split_factor` Nullable(Float64) COMMENT '[new shares for an old one] Split that takes effect with the bar, 1 if none; null where not said.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYear(ts_event)
ORDER BY (`symbol`, `ts_event`, `interval`, `price_type`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'vendor_bars/1: Open, high, low and close of one symbol in one interval, as a vendor gives them.';
