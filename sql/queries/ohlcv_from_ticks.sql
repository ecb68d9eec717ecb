-- Bars of any length straight from trades, where no flow has computed that length.
-- symbol: Instrument.
-- seconds = 900: Length of a bar; bars lie on the grid of UTC from 1970-01-01.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
SELECT
    symbol,
    toDateTime64(intDiv(toUnixTimestamp64Nano(ts_event), 1000000000 * {seconds:Int64}) * {seconds:Int64}, 9, 'UTC')
        AS ts_start,
    if(countIf(updates_last) = 0, NULL, argMinIf(price, (ts_event, _offset, _row), updates_last)) AS open,
    if(countIf(updates_high_low) = 0, NULL, maxIf(price, updates_high_low)) AS high,
    if(countIf(updates_high_low) = 0, NULL, minIf(price, updates_high_low)) AS low,
    if(countIf(updates_last) = 0, NULL, argMaxIf(price, (ts_event, _offset, _row), updates_last)) AS close,
    sumIf(size, updates_volume) AS volume,
    count() AS trade_count,
    if(volume = 0, NULL, sumIf(price * size, updates_volume) / volume) AS vwap
FROM trades
WHERE symbol = {symbol:String}
    AND action = 'new'
    AND ts_event >= {start:DateTime64(9, 'UTC')}
    AND ts_event < {end:DateTime64(9, 'UTC')}
GROUP BY symbol, ts_start
ORDER BY ts_start
