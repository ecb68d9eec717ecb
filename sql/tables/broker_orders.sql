-- Landed rows of broker_orders/1: What an outside broker is to be told: a new order, its replacement or cancellation.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS broker_orders
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `venue` LowCardinality(String) COMMENT 'Broker.',
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `sequence` Int64 COMMENT 'Of the symbol\'s rows here, from 1 on, without a gap.',
    `action` LowCardinality(String) COMMENT 'What to do.',
    `broker_order_id` String COMMENT 'Identifier of the order for the broker, unique for ever: the same at every attempt.',
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `side` LowCardinality(String) COMMENT 'Buy, sell, or sell what is borrowed.',
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Total quantity.',
    `order_type` LowCardinality(String) COMMENT 'As ordered.',
    `limit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Worst price.',
    `stop_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Stop.',
    `time_in_force` LowCardinality(String) COMMENT 'As ordered.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`symbol`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'broker_orders/1: What an outside broker is to be told: a new order, its replacement or cancellation.';
