-- Landed rows of order_reports/1: What the execution of a symbol tells the order system of an order, besides its fills.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS order_reports
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `sequence` Int64 COMMENT 'Of the order\'s reports, from 1 on, without a gap.',
    `report` LowCardinality(String) COMMENT 'What happened.',
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Total quantity now; of an exit what the two may fill together.',
    `filled_quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Filled until then: an order ends when the order system has read so many fills.',
    `limit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Worst price now.',
    `stop_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Stop now.',
    `venue` LowCardinality(Nullable(String)) COMMENT 'Where it works.',
    `reason` Nullable(String) COMMENT 'Why, of what did not go as asked; of replaced, whether the place in the queue is kept.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`account`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'order_reports/1: What the execution of a symbol tells the order system of an order, besides its fills.';
