-- How volume, trade count and volatility go through the day: means over all days, by time of day; days is in how many there were bars.
-- symbol: Instrument.
-- interval = 1m: Interval of the bars that it is computed from.
-- minutes = 30 (1 to 1440): Length of a step of the day.
-- time_zone = America/New_York: Whose time of day.
SELECT
    time_of_day,
    count() AS days,
    sum(step_volume) / any(days_in_all) AS volume,
    sum(step_trades) / any(days_in_all) AS trade_count,
    sum(step_volume) / nullIf(sum(sum(step_volume)) OVER (), 0) AS volume_share,
    sqrt(sum(step_variance) / any(days_in_all)) AS volatility
FROM
(
    SELECT
        day,
        intDiv(minute_of_day, {minutes:UInt32}) * {minutes:UInt32} AS minute,
        leftPad(toString(intDiv(minute, 60)), 2, '0') || ':' || leftPad(toString(minute % 60), 2, '0') AS time_of_day,
        sum(volume) AS step_volume,
        sum(trade_count) AS step_trades,
        sum(log_return * log_return) AS step_variance,
        -- A day without a bar in a step is one without volume in it.
        uniqExact(day) OVER () AS days_in_all
    FROM
    (
        SELECT
            toTimeZone(ts_start, {time_zone:String}) AS local,
            toDate(local) AS day,
            toHour(local) * 60 + toMinute(local) AS minute_of_day,
            volume,
            trade_count,
            -- Since the day's last bar that has a close: bars of odd lots only have volume and no price.
            log(close / anyLast(close) OVER (PARTITION BY day ORDER BY ts_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
                AS log_return
        FROM bars
        WHERE symbol = {symbol:String} AND interval = {interval:String}
    )
    GROUP BY day, minute
)
GROUP BY time_of_day
ORDER BY time_of_day
