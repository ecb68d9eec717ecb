-- Landed rows of routing_decisions/1: Why a part of an order was sent to a venue: what was known of each venue, and what each would cost.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS routing_decisions
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `sequence` Int64 COMMENT 'Of the order\'s decisions, from 1 on, without a gap.',
    `venue` LowCardinality(String) COMMENT 'Where it was sent.',
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] How much.',
    `bid` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Best bid that was known.',
    `ask` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Best ask that was known.',
    `expected_cost` Nullable(Float64) COMMENT '[quote currency a share] Expected price against the mid, fee and delay counted.',
    `candidates` String COMMENT 'All venues with what was known and expected of each, a JSON array.',
    `reason` String COMMENT 'In words.',
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
COMMENT 'routing_decisions/1: Why a part of an order was sent to a venue: what was known of each venue, and what each would cost.';
