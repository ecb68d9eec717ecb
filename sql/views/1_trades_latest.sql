-- The newest trade of each symbol: SELECT * FROM trades_latest WHERE symbol = 'IBM'
CREATE OR REPLACE VIEW trades_latest AS
SELECT
    symbol,
    argMax(venue, at) AS venue,
    max(ts_event) AS ts_event,
    argMax(price, at) AS price,
    argMax(size, at) AS size,
    argMax(tuple(side), at).1 AS side,
    argMax(tuple(conditions), at).1 AS conditions
FROM
(
    SELECT *, (ts_event, _offset, _row) AS at
    FROM trades
    WHERE action = 'new'
)
GROUP BY symbol
