-- Each trade with the national best bid and offer that stood when it printed, and its effective spread.
-- symbol: Instrument.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
SELECT
    t.ts_event AS ts_event,
    t.venue AS venue,
    t.price AS price,
    t.size AS size,
    n.ts_event AS ts_nbbo,
    n.bid AS bid,
    n.ask AS ask,
    n.state AS state,
    (n.bid + n.ask) / 2 AS mid,
    -- Effective spread: twice the distance from the mid.
    2 * abs(t.price - mid) AS effective_spread
FROM
(
    SELECT *
    FROM trades
    WHERE symbol = {symbol:String}
        AND action = 'new'
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
) AS t
ASOF LEFT JOIN
(
    -- Of several rows of one time, the last one stands.
    SELECT symbol, ts_event, argMax(tuple(bid), number).1 AS bid, argMax(tuple(ask), number).1 AS ask, argMax(state, number) AS state
    FROM nbbo
    WHERE symbol = {symbol:String}
    GROUP BY symbol, ts_event
) AS n ON t.symbol = n.symbol AND t.ts_event >= n.ts_event
ORDER BY ts_event, t._offset, t._row
SETTINGS join_use_nulls = 1
