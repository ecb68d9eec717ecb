-- Landed rows of trade_signs/1: A trade with its initiator's side by Lee and Ready, and its spread against the best quotes.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS trade_signs
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the trade happened.' CODEC(Delta, LZ4),
    `number` Int64 COMMENT '[rows] Ordinal of the trade among the symbol\'s, from 1, in order of event time.',
    `venue` LowCardinality(String) COMMENT 'Exchange, dealer or trade reporting facility that the row speaks of.',
    `trade_id` Nullable(String) COMMENT 'The venue\'s name of the trade; null where it gives none.',
    `price` Float64 COMMENT '[quote currency] Price of the trade.',
    `size` Float64 COMMENT '[shares, contracts or coins] Quantity of the trade.',
    `bid` Nullable(Float64) COMMENT '[quote currency] Best bid before the trade and the lag; null without.',
    `ask` Nullable(Float64) COMMENT '[quote currency] Best ask before the trade and the lag; null without.',
    `ts_quote` Nullable(DateTime64(9, 'UTC')) COMMENT '[ns since 1970-01-01 UTC] Since when these had stood; null where there was none yet.' CODEC(Delta, LZ4),
    `mid` Nullable(Float64) COMMENT '[quote currency] Middle of bid and ask; null where one is missing or they are crossed.',
    `side` LowCardinality(Nullable(String)) COMMENT 'Side of the initiator by Lee and Ready; null where no rule says.',
    `rule` LowCardinality(Nullable(String)) COMMENT 'What side follows from: the mid, or the last different price; null without side.',
    `tick_side` LowCardinality(Nullable(String)) COMMENT 'Side by the tick rule alone; null before the first change of price.',
    `quoted_spread` Nullable(Float64) COMMENT '[quote currency] ask - bid; null without mid.',
    `effective_spread` Nullable(Float64) COMMENT '[quote currency] 2 D (price - mid), D 1 for buy and -1 for sell; null without.',
    `fault` LowCardinality(Nullable(String)) COMMENT 'Why the quotes are not those of the lag: more came within it than are kept.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts_event)
ORDER BY (`symbol`, `ts_event`, `number`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16,
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'trade_signs/1: A trade with its initiator\'s side by Lee and Ready, and its spread against the best quotes.';
