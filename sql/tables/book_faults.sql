-- Landed rows of book_faults/1: A book event that does not fit the book it speaks of, and what was done about it.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS book_faults
(
    `symbol` LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    `venue` LowCardinality(String) COMMENT 'Exchange, dealer or trade reporting facility that the row speaks of.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Event time of the book event.' CODEC(Delta, LZ4),
    `number` Int64 COMMENT 'Number of the fault, from 1, in its symbol and venue.',
    `kind` LowCardinality(String) COMMENT 'What is wrong.',
    `resolution` LowCardinality(String) COMMENT 'What was done: ignored (the book is as before), added or replaced (the order is as the event says), zeroed (the order is gone), own_price_kept and own_side_kept (taken from the order where it rests), kept (the book is as the event says).',
    `action` LowCardinality(String) COMMENT 'What happened: modify gives the order\'s new price and size; cancel and execute give the size taken away, all or part; fill tells of an execution whose cancel or modify follows; hidden_execute touches no visible order; level sets all of a price\'s size, 0 takes it out; clear empties the book, and a snapshot follows.',
    `order_id` Nullable(UInt64) COMMENT 'The venue\'s name of the order; null where the row speaks of no named order.',
    `side` LowCardinality(Nullable(String)) COMMENT 'Side of the resting order or level; null for halts and clears, and where not said.',
    `price` Nullable(Float64) COMMENT '[quote currency] Limit price of the order or level, or of the execution; null for halts and clears.',
    `size` Nullable(Float64) COMMENT '[shares, contracts or coins] Quantity added, set, taken away or executed (see action); null for halts, clears.',
    `known` Nullable(Float64) COMMENT '[quote currency, or shares, contracts or coins] What the book knew: the size left (duplicate_order, oversized), the order\'s price (other_price, other_side), the best bid (locked, crossed).',
    `sequence` Nullable(UInt64) COMMENT 'The venue\'s number of its message in the symbol\'s stream; null where it gives none.',
    `sequence_expected` Nullable(UInt64) COMMENT 'For sequence_gap and sequence_back: the number that was due.',
    `source_partition` Nullable(Int32) COMMENT 'Log partition of the row; null for a file.',
    `source_offset` Nullable(Int64) COMMENT 'Log offset of the record that holds the row, line number in a file (from 1), or receive time of a live source\'s message (ns since 1970 UTC).',
    `source_row` Nullable(Int32) COMMENT 'Row within the record; null where the record could not be split into rows.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts_event)
ORDER BY (`symbol`, `ts_event`, `venue`, `number`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16,
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1
COMMENT 'book_faults/1: A book event that does not fit the book it speaks of, and what was done about it.';
