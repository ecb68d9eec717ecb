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
    q.told_bid AS bid,
    q.told_bid_size AS bid_size,
    q.ts_told_bid AS ts_bid,
    q.told_ask AS ask,
    q.told_ask_size AS ask_size,
    q.ts_told_ask AS ts_ask,
    t._partition AS _partition,
    t._offset AS _offset,
    t._row AS _row
FROM trades AS t
ASOF LEFT JOIN
(
    -- What a venue had told up to each of its quotes; of the same nanosecond the last in the log has the highest place.
    -- Six values, not two tuples of three: ClickHouse keeps the newest tuple as a list of boxed values. The newest time
    -- is the greatest, which needs no box.
    SELECT
        venue,
        bitShiftLeft(toInt128(toUnixTimestamp64Nano(ts_event)), 64) + row_number() OVER told AS place,
        anyLast_respect_nullsIf(bid, (isNotNull(bid) OR isNotNull(bid_size)) AS tells_bid) OVER told AS told_bid,
        anyLast_respect_nullsIf(bid_size, tells_bid) OVER told AS told_bid_size,
        maxIfOrNull(ts_event, tells_bid) OVER told AS ts_told_bid,
        anyLast_respect_nullsIf(ask, (isNotNull(ask) OR isNotNull(ask_size)) AS tells_ask) OVER told AS told_ask,
        anyLast_respect_nullsIf(ask_size, tells_ask) OVER told AS told_ask_size,
        maxIfOrNull(ts_event, tells_ask) OVER told AS ts_told_ask
    FROM quotes
    PREWHERE symbol = {symbol:String}
        AND ts_event >= addDays({start:DateTime64(9, 'UTC')}, -1)
        AND ts_event < {end:DateTime64(9, 'UTC')}
    WINDOW told AS (
        PARTITION BY venue
        ORDER BY ts_event, _offset, _row
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
) AS q
    ON t.venue = q.venue AND bitShiftLeft(toInt128(toUnixTimestamp64Nano(t.ts_event)) + 1, 64) > q.place
-- Not left to the planner, which looks for it for a millisecond a table.
PREWHERE t.symbol = {symbol:String}
    AND t.ts_event >= {start:DateTime64(9, 'UTC')}
    AND t.ts_event < {end:DateTime64(9, 'UTC')}
    AND t.action = 'new'
-- The parallel one costs more to set up than a day of a symbol to join.
SETTINGS join_algorithm = 'hash'
