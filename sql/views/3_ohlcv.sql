-- Bars of any length from trades: SELECT * FROM ohlcv(seconds = 900) WHERE symbol = 'IBM'
CREATE OR REPLACE VIEW ohlcv AS
WITH
    -- Time, offset and row as one number: compared many times faster than the tuple of them.
    bitShiftLeft(toInt256(toUnixTimestamp64Nano(trades.ts_event)), 96) + bitShiftLeft(toInt256(_offset), 32) + _row AS place
SELECT
    symbol,
    -- Bars lie on the grid of UTC from 1970-01-01. A filter on ts_start leaves other days unread.
    toStartOfInterval(trades.ts_event, toIntervalNanosecond({seconds:UInt32} * 1000000000)) AS ts_start,
    addSeconds(ts_start, {seconds:UInt32}) AS ts_event,
    argMinIfOrNull(price, place, updates_last) AS open,
    maxIfOrNull(price, updates_high_low) AS high,
    minIfOrNull(price, updates_high_low) AS low,
    argMaxIfOrNull(price, place, updates_last) AS close,
    sumIf(size, updates_volume) AS volume,
    count() AS trade_count,
    sumIf(price * size, updates_volume) / nullIf(volume, 0) AS vwap,
    sumIf(size, updates_volume AND side = 'buy') AS buy_volume,
    sumIf(size, updates_volume AND side = 'sell') AS sell_volume
FROM trades
WHERE action = 'new'
GROUP BY symbol, ts_start
ORDER BY symbol, ts_start
