-- Volume at each price, and the share of it whose aggressor bought, with the value area's running share.
-- symbol: Instrument.
-- tick = 0.01 (1e-9 to 1e18): Width of a price step; prices are told to nine places.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
SELECT
    round(price_step * {tick:Float64}, 9) AS price,
    volume,
    trade_count,
    buy_share,
    volume / nullIf(sum(volume) OVER (), 0) AS share,
    sum(volume) OVER (ORDER BY volume DESC, price_step) / nullIf(sum(volume) OVER (), 0) AS value_area
FROM
(
    SELECT
        accurateCast(round(trades.price / {tick:Float64}), 'Int64') AS price_step,
        sum(size) AS volume,
        count() AS trade_count,
        if(sumIf(size, isNotNull(side)) = 0, NULL, sumIf(size, side = 'buy') / sumIf(size, isNotNull(side))) AS buy_share
    FROM trades
    WHERE symbol = {symbol:String}
        AND action = 'new'
        AND updates_volume
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
    GROUP BY price_step
)
ORDER BY price
