-- Landed rows of corporate_actions/1: What a company does to its shares, from the first trade of ts_event on.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS corporate_actions
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Ex time: positions held before it are changed when market time reaches it.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `action_id` String COMMENT 'Identifier; one that was seen already changes nothing.',
    `action` LowCardinality(String) COMMENT 'What it is.',
    `numerator` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] Split, spin-off: new shares …',
    `denominator` Nullable(Decimal(38, 10)) COMMENT '[shares, contracts or coins] … for so many old ones.',
    `amount` Nullable(Decimal(38, 10)) COMMENT '[the row\'s currency] Dividend: cash a share.',
    `currency` LowCardinality(Nullable(String)) COMMENT 'Of the dividend; null for that of the position.',
    `new_symbol` LowCardinality(Nullable(String)) COMMENT 'Symbol change, spin-off: the other symbol.',
    `cost_share` Nullable(Decimal(38, 10)) COMMENT '[ratio] Spin-off: share of the cost that goes to the new symbol.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYear(ts_event)
ORDER BY (`symbol`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'corporate_actions/1: What a company does to its shares, from the first trade of ts_event on.';
