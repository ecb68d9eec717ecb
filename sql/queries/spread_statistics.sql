-- Quoted spread of the national best bid and offer by interval: time-weighted, in price and in basis points.
-- symbol: Instrument.
-- seconds = 1800 (1 to 9223372036): Length of the intervals.
-- max_gap_s = 60 (1e-9 to inf): Longest time that a row is held to stand for: a night weighs nothing.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
SELECT
    toStartOfInterval(ts_event, toIntervalNanosecond(1000000000 * {seconds:Int64})) AS ts_start,
    count() AS updates,
    sumIf((ask - bid) * stood, state = 'normal') / nullIf(sumIf(stood, state = 'normal'), 0) AS spread,
    sumIf(10000 * (ask - bid) / ((ask + bid) / 2) * stood, state = 'normal') / nullIf(sumIf(stood, state = 'normal'), 0) AS spread_bps,
    sumIf((bid_size + ask_size) / 2 * stood, state = 'normal') / nullIf(sumIf(stood, state = 'normal'), 0) AS size,
    sumIf(stood, state = 'locked') / sum(stood) AS locked_share,
    sumIf(stood, state = 'crossed') / sum(stood) AS crossed_share
FROM
(
    SELECT
        *,
        -- Seconds until the next row, whole in the interval in which the row begins. Numbers order rows of one time
        -- only: they begin anew where the flow does, with other parameters.
        least(
            (toUnixTimestamp64Nano(leadInFrame(ts_event, 1, ts_event) OVER (ORDER BY ts_event, number ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING))
                - toUnixTimestamp64Nano(ts_event)) / 1e9,
            {max_gap_s:Float64}
        ) AS stood
    FROM nbbo
    WHERE symbol = {symbol:String}
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
)
GROUP BY ts_start
HAVING sum(stood) > 0
ORDER BY ts_start
