-- Landed rows of book_events/1: One event of one order in a venue's limit order book, or a change of trading state.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS book_events
(
    symbol LowCardinality(String) COMMENT 'Instrument, as the source names it, in upper case.',
    venue LowCardinality(String) COMMENT 'Exchange, dealer or trade reporting facility that the row speaks of.',
    ts_event DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When it happened at the source.',
    ts_recv DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the platform first saw the row.',
    action LowCardinality(String) COMMENT 'What happened: modify gives the order\'s new price and size; cancel and execute give the size taken away, all or part; hidden_execute touches no visible order.',
    order_id Nullable(UInt64) COMMENT 'The venue\'s name of the order; null for halts and unnamed hidden orders.',
    side LowCardinality(Nullable(String)) COMMENT 'Side of the resting order; null for halts.',
    price Nullable(Float64) COMMENT '[quote currency] Limit price of the order, or price of the execution; null for halts.',
    size Nullable(Float64) COMMENT '[shares, contracts or coins] Quantity added, set, taken away or executed (see action); null for halts.',
    state LowCardinality(Nullable(String)) COMMENT 'For a halt row: the trading state from now on; null otherwise.',
    _partition Int32 COMMENT 'Log partition of the row\'s record.',
    _offset Int64 COMMENT 'Log offset of the row\'s record.',
    _row Int32 COMMENT 'Place of the row in its record, from 0.',
    _appended DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.'
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(ts_event)
ORDER BY (symbol, ts_event)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'book_events/1: One event of one order in a venue\'s limit order book, or a change of trading state.';
