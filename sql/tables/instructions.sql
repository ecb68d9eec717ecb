-- Landed rows of instructions/1: What the order system asks the execution of a symbol to do with an order that passed all checks.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS instructions
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Market time: the newest market event that the flow had seen when it happened.' CODEC(Delta, LZ4),
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `sequence` Int64 COMMENT 'Of the account\'s instructions, from 1 on, without a gap.',
    `action` LowCardinality(String) COMMENT 'What to do; a replacement has all terms as they are to be.',
    `order_id` String COMMENT 'Identifier of the order, given by Tapeflow.',
    `client_order_id` String COMMENT 'Identifier of the order, given by its client.',
    `parent_order_id` Nullable(String) COMMENT 'Order that this one works for: an algorithm\'s, a bracket\'s; null for none.',
    `side` LowCardinality(String) COMMENT 'Buy, sell, or sell what is borrowed.',
    `quantity` Decimal(38, 10) COMMENT '[shares, contracts or coins] Total quantity; of an exit what the two may fill together.',
    `limit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Worst price that is accepted.',
    `stop_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Price at which a stop order becomes active.',
    `trail_amount` Nullable(Decimal(38, 10)) COMMENT '[quote currency] How far a trailing stop trails the best price.',
    `trail_percent` Nullable(Decimal(38, 10)) COMMENT '[quote currency] The same, in percent of the best price.',
    `peg` LowCardinality(Nullable(String)) COMMENT 'What a pegged order follows: its own side\'s best price, the other side\'s, or their mid.',
    `peg_offset` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Added to what is followed; towards the market if positive.',
    `display_quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] How much of an iceberg is shown at a time.',
    `ts_expire` Nullable(DateTime64(9, 'UTC')) COMMENT '[ns since 1970-01-01 UTC] When a GTD order expires, in market time.' CODEC(Delta, LZ4),
    `algorithm` LowCardinality(Nullable(String)) COMMENT 'Algorithm that works the order; null for none.',
    `algorithm_params` Nullable(String) COMMENT 'Its parameters, a JSON object.',
    `venue` LowCardinality(Nullable(String)) COMMENT 'Where to send it; null lets the router choose.',
    `lot_method` LowCardinality(Nullable(String)) COMMENT 'Which lots a sale closes.',
    `lots` Nullable(String) COMMENT 'With method specific: identifiers of the lots, with commas.',
    `order_type` LowCardinality(String) COMMENT 'As ordered.',
    `time_in_force` LowCardinality(String) COMMENT 'As ordered.',
    `currency` LowCardinality(String) COMMENT 'Currency of the amounts, ISO 4217 or a coin\'s code.',
    `strategy` LowCardinality(String) COMMENT 'Strategy that it is for; empty for none.',
    `ts_entry` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the door took the order, by the wall clock.' CODEC(Delta, LZ4),
    `correlation_id` Nullable(String) COMMENT 'Identifier of the request that began it, as in logs.',
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
COMMENT 'instructions/1: What the order system asks the execution of a symbol to do with an order that passed all checks.';
