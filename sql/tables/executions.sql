-- Landed rows of executions/1: A fill of an order, whole or in part.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS executions
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `execution_id` String COMMENT 'Identifier of the fill, unique for ever: order, number of the instruction that began it, number of the fill; of a fill that a broker tells after the order\'s end the broker\'s identifiers of both.',
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `client_order_id` String COMMENT 'Identifier of the order, given by its client.',
    `parent_order_id` Nullable(String) COMMENT 'Order that this one works for: an algorithm\'s, a bracket\'s; null for none.',
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `side` LowCardinality(String) COMMENT 'Buy, sell, or sell what is borrowed.',
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Filled now.',
    `price` Decimal(38, 10) COMMENT '[quote currency] Price of one share, contract or coin, on the instrument\'s tick.',
    `currency` LowCardinality(String) COMMENT 'Currency of the amounts, ISO 4217 or a coin\'s code.',
    `fees` Decimal(38, 10) COMMENT '[the row\'s currency] Fees of broker and venue, rounded half-even to the minor unit; a rebate is negative.',
    `liquidity` LowCardinality(String) COMMENT 'Whether the order stood or took, or was in an auction.',
    `venue` LowCardinality(String) COMMENT 'Where it was filled.',
    `strategy` LowCardinality(String) COMMENT 'Strategy that it is for; empty for none.',
    `lot_method` LowCardinality(Nullable(String)) COMMENT 'Which lots a sale closes.',
    `lots` Nullable(String) COMMENT 'With method specific: identifiers of the lots, with commas.',
    `bid` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Best bid that was known.',
    `ask` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Best ask that was known.',
    `correlation_id` Nullable(String) COMMENT 'Identifier of the request that began it, as in logs.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`account`, `ts_event`, `execution_id`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'executions/1: A fill of an order, whole or in part.';
