-- Each trade of a symbol with the bid and ask that its own venue had told last before it (or at the same nanosecond):
-- SELECT * FROM trades_quotes(symbol = 'IBM', start = '2013-10-07 00:00:00', end = '2013-10-08 00:00:00')
-- A TAQ quote row speaks of one side: bid and ask are joined apart, so each is the last that was told from a day
-- before the start on; ts_bid and ts_ask say when. Size 0 means that the venue had none, and the price is then null.
CREATE OR REPLACE VIEW trades_quotes AS
SELECT
    t.symbol AS symbol,
    t.venue AS venue,
    t.ts_event AS ts_event,
    t.price AS price,
    t.size AS size,
    t.side AS side,
    t.conditions AS conditions,
    b.told.1 AS bid,
    b.told.2 AS bid_size,
    b.ts_bid AS ts_bid,
    a.told.1 AS ask,
    a.told.2 AS ask_size,
    a.ts_ask AS ts_ask,
    t._partition AS _partition,
    t._offset AS _offset,
    t._row AS _row
FROM
(
    SELECT *
    FROM trades
    WHERE action = 'new'
        AND symbol = {symbol:String}
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
) AS t
ASOF LEFT JOIN
(
    -- Several quotes of one nanosecond: the last in the log holds.
    SELECT
        symbol,
        venue,
        toNullable(ts_event) AS ts_bid,
        argMax((bid, bid_size), (_offset, _row)) AS told
    FROM quotes
    WHERE (isNotNull(bid) OR isNotNull(bid_size))
        AND symbol = {symbol:String}
        AND ts_event >= addDays({start:DateTime64(9, 'UTC')}, -1)
        AND ts_event < {end:DateTime64(9, 'UTC')}
    GROUP BY symbol, venue, ts_bid
) AS b ON t.symbol = b.symbol AND t.venue = b.venue AND t.ts_event >= b.ts_bid
ASOF LEFT JOIN
(
    SELECT
        symbol,
        venue,
        toNullable(ts_event) AS ts_ask,
        argMax((ask, ask_size), (_offset, _row)) AS told
    FROM quotes
    WHERE (isNotNull(ask) OR isNotNull(ask_size))
        AND symbol = {symbol:String}
        AND ts_event >= addDays({start:DateTime64(9, 'UTC')}, -1)
        AND ts_event < {end:DateTime64(9, 'UTC')}
    GROUP BY symbol, venue, ts_ask
) AS a ON t.symbol = a.symbol AND t.venue = a.venue AND t.ts_event >= a.ts_ask
