-- The newest bid and ask of each symbol at each venue; each side keeps the time at which it was last told.
CREATE OR REPLACE VIEW quotes_latest AS
SELECT
    symbol,
    venue,
    maxIfOrNull(ts_event, told_bid) AS ts_bid,
    argMaxIf(tuple(bid), at, told_bid).1 AS bid,
    argMaxIf(tuple(bid_size), at, told_bid).1 AS bid_size,
    maxIfOrNull(ts_event, told_ask) AS ts_ask,
    argMaxIf(tuple(ask), at, told_ask).1 AS ask,
    argMaxIf(tuple(ask_size), at, told_ask).1 AS ask_size
FROM
(
    -- A row speaks of a side where it gives its price or its size (size 0: no order left there).
    SELECT
        *,
        (ts_event, _offset, _row) AS at,
        isNotNull(bid) OR isNotNull(bid_size) AS told_bid,
        isNotNull(ask) OR isNotNull(ask_size) AS told_ask
    FROM quotes
)
GROUP BY symbol, venue
