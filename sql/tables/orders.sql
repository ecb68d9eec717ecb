-- Landed rows of orders/1: A command of a client: a new order, the replacement or the cancellation of one.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS orders
(
    `account` LowCardinality(String) COMMENT 'Account that it belongs to.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the door took it, by the wall clock.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `command` LowCardinality(String) COMMENT 'What is asked; cancel_all cancels the account\'s open orders (of the symbol, if given). What a replacement leaves null stays as it is.',
    `order_id` String COMMENT 'Which order; empty where the client\'s identifier says it. A new order\'s is what schemas.order_ids gives.',
    `client_order_id` String COMMENT 'Identifier of that order, given by its client.',
    `symbol` LowCardinality(Nullable(String)) COMMENT 'Instrument; of a new order.',
    `side` LowCardinality(Nullable(String)) COMMENT 'Of a new order: buy, sell, or sell what is borrowed.',
    `quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] How much; of a replacement the new total.',
    `order_type` LowCardinality(Nullable(String)) COMMENT 'Of a new order.',
    `limit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Worst price that is accepted.',
    `stop_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Price at which a stop order becomes active.',
    `trail_amount` Nullable(Decimal(38, 10)) COMMENT '[quote currency] How far a trailing stop trails the best price.',
    `trail_percent` Nullable(Decimal(38, 10)) COMMENT '[quote currency] The same, in percent of the best price.',
    `peg` LowCardinality(Nullable(String)) COMMENT 'What a pegged order follows: its own side\'s best price, the other side\'s, or their mid.',
    `peg_offset` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Added to what is followed; towards the market if positive.',
    `display_quantity` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] How much of an iceberg is shown at a time.',
    `time_in_force` LowCardinality(Nullable(String)) COMMENT 'How long it stands.',
    `ts_expire` Nullable(DateTime64(9, 'UTC')) COMMENT '[ns since 1970-01-01 UTC] When a GTD order expires, in market time.' CODEC(Delta, LZ4),
    `order_class` LowCardinality(String) COMMENT 'A bracket has an exit on both sides of its price once it is filled; of an OCO\'s two orders one cancels the other.',
    `take_profit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Limit of the exit with a profit (bracket, OCO).',
    `stop_loss_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Stop of the exit with a loss (bracket, OCO).',
    `stop_loss_limit_price` Nullable(Decimal(38, 10)) COMMENT '[quote currency] Limit of that exit; a market order where null.',
    `algorithm` LowCardinality(Nullable(String)) COMMENT 'Algorithm that works the order; null for none.',
    `algorithm_params` Nullable(String) COMMENT 'Its parameters, a JSON object.',
    `venue` LowCardinality(Nullable(String)) COMMENT 'Where to send it; null lets the router choose.',
    `strategy` LowCardinality(String) COMMENT 'Strategy that it is for; empty for none.',
    `locate_id` Nullable(String) COMMENT 'Locate of the shares that a short sale borrows.',
    `lot_method` LowCardinality(Nullable(String)) COMMENT 'Which lots a sale closes.',
    `lots` Nullable(String) COMMENT 'With method specific: identifiers of the lots, with commas.',
    `user` String COMMENT 'Who gave it.',
    `correlation_id` Nullable(String) COMMENT 'Identifier of the request that began it, as in logs.',
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
COMMENT 'orders/1: A command of a client: a new order, the replacement or the cancellation of one.';
