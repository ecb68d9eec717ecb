-- Realised volatility of each day from intraday bars, annualised over 252 days: close to close, and Parkinson.
-- symbol: Instrument.
-- interval = 5m: Interval of the bars.
-- time_zone = America/New_York: Where a day begins.
SELECT
    day,
    count() AS bars,
    sqrt(252 * sum(log_return * log_return)) AS close_to_close,
    sqrt(252 * sum(log(high / low) * log(high / low)) / (4 * log(2))) AS parkinson
FROM
(
    SELECT
        toDate32(toTimeZone(ts_start, {time_zone:String})) AS day,
        high,
        low,
        -- Since the day's last bar that has a close, as not all have; that of the first is from its own open.
        log(close / coalesce(anyLast(close) OVER (PARTITION BY day ORDER BY ts_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), open))
            AS log_return
    FROM bars
    WHERE symbol = {symbol:String} AND interval = {interval:String} AND (isNotNull(close) OR isNotNull(high))
)
GROUP BY day
ORDER BY day
