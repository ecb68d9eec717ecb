-- Landed rows of broker_reports/1: What an outside broker says of an order.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS broker_reports
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the door took it, by the wall clock.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `venue` LowCardinality(String) COMMENT 'Broker.',
    `broker_order_id` String COMMENT 'Identifier of the order that it was told.',
    `report_id` String COMMENT 'The broker\'s identifier of the report; one that was seen already changes nothing.',
    `report` LowCardinality(String) COMMENT 'What happened.',
    `quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] Filled now; of a bust or correction, as told.',
    `price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Of this fill.',
    `fees` Nullable(Decimal(38, 10)) COMMENT '[the row\'s currency] Of this fill.',
    `reason` Nullable(String) COMMENT 'In the broker\'s words.',
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
COMMENT 'broker_reports/1: What an outside broker says of an order.';
