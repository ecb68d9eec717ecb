-- Bars of any length rolled up from finer bars: a scan of minutes instead of ticks.
-- symbol: Instrument.
-- interval = 1m: Interval of the finer bars; it must divide the length.
-- seconds = 900 (1 to 9223372036): Length of a bar; bars lie on the grid of UTC from 1970-01-01.
-- start = 1970-01-01 00:00:00: First start of a finer bar, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last start of a finer bar, UTC, exclusive.
SELECT
    symbol,
    toStartOfInterval(bars.ts_start, toIntervalNanosecond(1000000000 * {seconds:Int64})) AS ts_start,
    argMin(open, bars.ts_start) AS open,
    max(high) AS high,
    min(low) AS low,
    argMax(close, bars.ts_start) AS close,
    sum(volume) AS volume,
    sum(trade_count) AS trade_count,
    if(volume = 0, NULL, sum(vwap * bars.volume) / volume) AS vwap
FROM bars
WHERE symbol = {symbol:String}
    AND interval = {interval:String}
    AND bars.ts_start >= {start:DateTime64(9, 'UTC')}
    AND bars.ts_start < {end:DateTime64(9, 'UTC')}
GROUP BY symbol, ts_start
ORDER BY ts_start
