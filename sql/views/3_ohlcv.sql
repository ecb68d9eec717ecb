-- Bars of any length from trades: SELECT * FROM ohlcv(seconds = 900) WHERE symbol = 'IBM'
CREATE OR REPLACE VIEW ohlcv AS
SELECT
    symbol,
    -- Bars lie on the grid of UTC from 1970-01-01. A filter on ts_start leaves other days unread.
    toStartOfInterval(trades.ts_event, toIntervalSecond({seconds:UInt32}))::DateTime64(9, 'UTC') AS ts_start,
    addSeconds(ts_start, {seconds:UInt32}) AS ts_event,
    if(countIf(updates_last) = 0, NULL, argMinIf(price, (trades.ts_event, _offset, _row), updates_last)) AS open,
    if(countIf(updates_high_low) = 0, NULL, maxIf(price, updates_high_low)) AS high,
    if(countIf(updates_high_low) = 0, NULL, minIf(price, updates_high_low)) AS low,
    if(countIf(updates_last) = 0, NULL, argMaxIf(price, (trades.ts_event, _offset, _row), updates_last)) AS close,
    sumIf(size, updates_volume) AS volume,
    count() AS trade_count,
    if(volume = 0, NULL, sumIf(price * size, updates_volume) / volume) AS vwap,
    sumIf(size, updates_volume AND side = 'buy') AS buy_volume,
    sumIf(size, updates_volume AND side = 'sell') AS sell_volume
FROM trades
WHERE action = 'new'
GROUP BY symbol, ts_start
ORDER BY symbol, ts_start
