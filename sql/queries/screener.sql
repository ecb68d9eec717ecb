-- Symbols by their newest bar and indicators: price, volume, change and RSI within bounds, best change first.
-- interval = 1m: Interval of bars and indicators.
-- min_price = 0: Lowest close.
-- max_price = 1e18: Highest close.
-- min_volume = 0: Lowest volume of the newest bar.
-- min_change = -1: Lowest change from the bar before (0.02 is 2 %).
-- max_change = 1e18: Highest change.
-- rsi = rsi_14: Which indicator the next two bound.
-- min_rsi = 0: Its lowest value.
-- max_rsi = 100: Its highest value.
SELECT
    b.symbol AS symbol,
    b.ts_event AS ts_event,
    b.close AS close,
    b.volume AS volume,
    b.change AS change,
    i.value AS rsi
FROM
(
    SELECT
        symbol,
        max(newest.ts_event) AS ts_event,
        argMax(newest.close, newest.ts_event) AS close,
        argMax(newest.volume, newest.ts_event) AS volume,
        if(count() = 2, close / argMin(newest.close, newest.ts_event) - 1, NULL) AS change
    FROM
    (
        SELECT symbol, ts_event, close, volume
        FROM bars
        WHERE interval = {interval:String} AND isNotNull(close)
        ORDER BY ts_event DESC
        LIMIT 2 BY symbol
    ) AS newest
    GROUP BY symbol
) AS b
INNER JOIN
(
    SELECT symbol, argMax(indicators.value, indicators.ts_event) AS value
    FROM indicators
    WHERE interval = {interval:String} AND name = {rsi:String} AND isNotNull(indicators.value)
    GROUP BY symbol
) AS i ON i.symbol = b.symbol
WHERE close BETWEEN {min_price:Float64} AND {max_price:Float64}
    AND volume >= {min_volume:Float64}
    AND change BETWEEN {min_change:Float64} AND {max_change:Float64}
    AND rsi BETWEEN {min_rsi:Float64} AND {max_rsi:Float64}
ORDER BY change DESC, symbol
