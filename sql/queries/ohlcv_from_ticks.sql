-- Bars of any length straight from trades, where no flow has computed that length.
-- symbol: Instrument.
-- seconds = 900 (1 to 9223372036): Length of a bar; bars lie on the grid of UTC from 1970-01-01.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
WITH
    -- Time, offset and row as one number: compared many times faster than the tuple of them.
    bitShiftLeft(toInt256(toUnixTimestamp64Nano(ts_event)), 96) + bitShiftLeft(toInt256(_offset), 32) + _row AS place
SELECT
    symbol,
    toStartOfInterval(ts_event, toIntervalNanosecond(1000000000 * {seconds:Int64})) AS ts_start,
    argMinIfOrNull(price, place, updates_last) AS open,
    maxIfOrNull(price, updates_high_low) AS high,
    minIfOrNull(price, updates_high_low) AS low,
    argMaxIfOrNull(price, place, updates_last) AS close,
    sumIf(size, updates_volume) AS volume,
    count() AS trade_count,
    sumIf(price * size, updates_volume) / nullIf(volume, 0) AS vwap
FROM trades
WHERE symbol = {symbol:String}
    AND action = 'new'
    AND ts_event >= {start:DateTime64(9, 'UTC')}
    AND ts_event < {end:DateTime64(9, 'UTC')}
GROUP BY symbol, ts_start
ORDER BY ts_start
