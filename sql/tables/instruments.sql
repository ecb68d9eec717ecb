-- Landed rows of instruments/1: What a symbol stands for from a time on; a later row of the same time replaces an earlier.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS instruments
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] From when on the row holds.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `venue` LowCardinality(Nullable(String)) COMMENT 'Where it is listed or traded first; null where not known.',
    `type` LowCardinality(String) COMMENT 'Kind of instrument; a fund is an ETF or another traded fund.',
    `name` Nullable(String) COMMENT 'Name of the issuer or contract.',
    `currency` LowCardinality(String) COMMENT 'Currency that prices are in, ISO 4217 or a coin\'s code.',
    `tick_size` Nullable(Float64) COMMENT '[quote currency] Smallest step of a price.',
    `lot_size` Nullable(Float64) COMMENT '[shares, contracts or coins] Size of a round lot.',
    `sector` LowCardinality(Nullable(String)) COMMENT 'Sector of the issuer, as the list says it (such as GICS).',
    `calendar` LowCardinality(String) COMMENT 'Calendar of its sessions in exchange_calendars.',
    `previous_symbol` LowCardinality(Nullable(String)) COMMENT 'Symbol of the same instrument until ts_event, where it was another.',
    `is_active` Bool COMMENT 'Whether it is listed from ts_event on; false ends it.',
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
COMMENT 'instruments/1: What a symbol stands for from a time on; a later row of the same time replaces an earlier.';
