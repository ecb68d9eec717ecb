-- What each venue's trades cost against the interval's VWAP, in basis points, by side of the aggressor.
-- symbol: Instrument.
-- seconds = 300 (1 to 9223372036): Length of the intervals.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
SELECT
    venue,
    coalesce(side, 'unknown') AS aggressor,
    count() AS trade_count,
    sum(size) AS volume,
    -- Positive is worse than the interval's mean: bought above it, or sold below it. Without a side: above it.
    10000 * sum(size * (price / vwap - 1) * if(side = 'sell', -1, 1)) / volume AS slippage_bps
FROM
(
    SELECT
        venue,
        side,
        price,
        size,
        sum(price * size) OVER (PARTITION BY bucket) / sum(size) OVER (PARTITION BY bucket) AS vwap,
        toStartOfInterval(ts_event, toIntervalNanosecond(1000000000 * {seconds:Int64})) AS bucket
    FROM trades
    WHERE symbol = {symbol:String}
        AND action = 'new'
        AND updates_volume
        AND size > 0
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
)
GROUP BY venue, side
ORDER BY venue, aggressor
