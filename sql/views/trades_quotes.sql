-- Each trade with the bid and ask that its own venue had told last before it (or at the same nanosecond).
-- A TAQ quote row speaks of one side: bid and ask are joined apart, so each is the last that was told,
-- however old; ts_bid and ts_ask say when. Size 0 means that the venue had none, and the price is then null.
CREATE OR REPLACE VIEW trades_quotes AS
SELECT
    t.symbol AS symbol,
    t.venue AS venue,
    t.ts_event AS ts_event,
    t.price AS price,
    t.size AS size,
    t.side AS side,
    t.conditions AS conditions,
    t.bid AS bid,
    t.bid_size AS bid_size,
    t.ts_bid AS ts_bid,
    a.ask AS ask,
    a.ask_size AS ask_size,
    a.ts_event AS ts_ask,
    t._partition AS _partition,
    t._offset AS _offset,
    t._row AS _row
FROM
(
    SELECT trades.*, b.bid AS bid, b.bid_size AS bid_size, b.ts_event AS ts_bid
    FROM trades
    ASOF LEFT JOIN
    (
        SELECT symbol, venue, toNullable(ts_event) AS ts_event, bid, bid_size
        FROM quotes
        WHERE isNotNull(bid) OR isNotNull(bid_size)
    ) AS b ON trades.symbol = b.symbol AND trades.venue = b.venue AND trades.ts_event >= b.ts_event
    WHERE trades.action = 'new'
) AS t
ASOF LEFT JOIN
(
    SELECT symbol, venue, toNullable(ts_event) AS ts_event, ask, ask_size
    FROM quotes
    WHERE isNotNull(ask) OR isNotNull(ask_size)
) AS a ON t.symbol = a.symbol AND t.venue = a.venue AND t.ts_event >= a.ts_event
