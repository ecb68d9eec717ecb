-- Landed rows of order_events/1: A step in the life of an order, with how the order stands after it.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS order_events
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `sequence` Int64 COMMENT 'Of the account\'s events, from 1 on, without a gap.',
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `client_order_id` Nullable(String) COMMENT 'Identifier of the order, given by its client.',
    `parent_order_id` Nullable(String) COMMENT 'Order that this one works for: an algorithm\'s, a bracket\'s; null for none.',
    `event` LowCardinality(String) COMMENT 'What happened; report_rejected: the execution told what does not fit the order, such as more than was open.',
    `status` LowCardinality(String) COMMENT 'How the order stands now; unknown where there is no such order.',
    `symbol` LowCardinality(Nullable(String)) COMMENT 'Instrument, as the source names it, in upper case.',
    `side` LowCardinality(Nullable(String)) COMMENT 'Buy, sell, or sell what is borrowed.',
    `order_type` LowCardinality(Nullable(String)) COMMENT 'As ordered.',
    `time_in_force` LowCardinality(Nullable(String)) COMMENT 'As ordered.',
    `quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] Total quantity now.',
    `limit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Worst price now.',
    `stop_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Stop now.',
    `filled_quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Filled so far.',
    `remaining_quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Open still; zero once the order has ended.',
    `average_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Of what is filled, rounded half-even at ten decimals.',
    `execution_id` Nullable(String) COMMENT 'Execution that caused it.',
    `strategy` LowCardinality(String) COMMENT 'Strategy that it is for; empty for none.',
    `venue` LowCardinality(Nullable(String)) COMMENT 'Where it works; null before it is routed.',
    `reason` Nullable(String) COMMENT 'Why, of what did not go as asked; of replaced, whether the place in the queue is kept.',
    `check` LowCardinality(Nullable(String)) COMMENT 'Pre-trade check that refused it.',
    `check_limit` Nullable(String) COMMENT 'That check\'s limit.',
    `check_value` Nullable(String) COMMENT 'The value that broke it.',
    `user` Nullable(String) COMMENT 'Who ordered it.',
    `correlation_id` Nullable(String) COMMENT 'Identifier of the request that began it, as in logs.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`account`, `ts_event`, `sequence`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'order_events/1: A step in the life of an order, with how the order stands after it.';
