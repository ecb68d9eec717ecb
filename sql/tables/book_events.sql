-- Landed rows of book_events/1: An event of an order or a price level in a venue's book, or a change of trading state.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS book_events
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `venue` LowCardinality(String) COMMENT 'Exchange, dealer or trade reporting facility that the row speaks of.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it happened at the source.' CODEC(Delta, LZ4),
    `ts_recv` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.' CODEC(Delta, LZ4),
    `action` LowCardinality(String) COMMENT 'What happened: modify gives the order\'s new price and size; cancel and execute give the size taken away, all or part; fill tells of an execution whose cancel or modify follows; hidden_execute touches no visible order; level sets all of a price\'s size, 0 takes it out; clear empties the book, and a snapshot follows.',
    `order_id` Nullable(UInt64) COMMENT 'The venue\'s name of the order; null where the row speaks of no named order.',
    `side` LowCardinality(Nullable(String)) COMMENT 'Side of the resting order or level; null for halts and clears, and where not said.',
    `price` Nullable(Float64) COMMENT '[quote currency] Limit price of the order or level, or of the execution; null for halts and clears.',
    `size` Nullable(Float64) COMMENT '[shares, contracts or coins] Quantity added, set, taken away or executed (see action); null for halts, clears.',
    `state` LowCardinality(Nullable(String)) COMMENT 'For a halt row: the trading state from now on; null otherwise.',
    `sequence` Nullable(UInt64) COMMENT 'The venue\'s number of its message in the symbol\'s stream; null where it gives none.',
    `is_last` Bool COMMENT 'Whether the venue\'s event ends with this row, so that the book is whole.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts_event)
ORDER BY (`symbol`, `ts_event`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16,
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'book_events/1: An event of an order or a price level in a venue\'s book, or a change of trading state.';
