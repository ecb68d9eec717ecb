-- Landed rows of event_bars/1: A bar of one symbol that ended when so many ticks, so much volume or turnover, or more of it on one side than expected had been traded.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS event_bars
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `bar` LowCardinality(String) COMMENT 'What a bar is full of: tick_100, volume_10000, dollar_1000000, or tick_imbalance_100 and so on, where the number is of the ticks expected at first.',
    `number` Int64 COMMENT '[bars] Ordinal of the bar among those of its symbol and label, from 1.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it was known: the symbol\'s newest time at its last trade; where the session cut it, the session\'s end.' CODEC(Delta, LZ4),
    `ts_start` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Event time of its first trade.' CODEC(Delta, LZ4),
    `ts_end` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Event time of its last trade.' CODEC(Delta, LZ4),
    `open` Nullable(Float64) COMMENT '[quote currency] First price; null where no trade could set one.',
    `high` Nullable(Float64) COMMENT '[quote currency] Highest price; null where no trade could set one.',
    `low` Nullable(Float64) COMMENT '[quote currency] Lowest price; null where no trade could set one.',
    `close` Nullable(Float64) COMMENT '[quote currency] Last price; null where no trade could set one.',
    `volume` Float64 COMMENT '[shares, contracts or coins] Sum of the sizes that count.',
    `trade_count` Int64 COMMENT '[trades] Trades in the bar, whatever their conditions.',
    `vwap` Nullable(Float64) COMMENT '[quote currency] Volume-weighted mean price of the trades that count; null without any.',
    `buy_volume` Float64 COMMENT '[shares, contracts or coins] The part of volume whose sign is a buy.',
    `sell_volume` Float64 COMMENT '[shares, contracts or coins] The part of volume whose sign is a sell.',
    `turnover` Float64 COMMENT '[quote currency] Sum of price times size of the trades that count in volume.',
    `imbalance` Float64 COMMENT '[ticks, volume or turnover, by bar] Sum of the bar\'s quantity with the trades\' signs.',
    `threshold` Nullable(Float64) COMMENT '[ticks, volume or turnover, by bar] What its quantity, or the size of its imbalance, had to reach; null for the first imbalance bar.',
    `is_complete` Bool COMMENT 'Whether it reached its threshold; false where the session\'s end cut it.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`, `bar`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'event_bars/1: A bar of one symbol that ended when so many ticks, so much volume or turnover, or more of it on one side than expected had been traded.';
