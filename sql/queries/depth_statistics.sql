-- Size and distance from the mid at each level of the book, time-weighted, by venue.
-- symbol: Instrument.
-- max_gap_s = 60 (1e-9 to inf): Longest time that a row is held to stand for.
-- start = 1970-01-01 00:00:00: First event time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last event time, UTC, exclusive.
SELECT
    venue,
    level,
    sum(bid_size * stood) / nullIf(sumIf(stood, isNotNull(bid_size)), 0) AS bid_size,
    sum(ask_size * stood) / nullIf(sumIf(stood, isNotNull(ask_size)), 0) AS ask_size,
    sum((mid - bid) * stood) / nullIf(sumIf(stood, isNotNull(bid) AND isNotNull(mid)), 0) AS bid_distance,
    sum((ask - mid) * stood) / nullIf(sumIf(stood, isNotNull(ask) AND isNotNull(mid)), 0) AS ask_distance
FROM
(
    SELECT
        venue,
        mid,
        -- Numbers order rows of one time only: they begin anew where the flow does, with other parameters.
        least(
            (toUnixTimestamp64Nano(leadInFrame(ts_event, 1, ts_event) OVER (PARTITION BY venue ORDER BY ts_event, number ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING))
                - toUnixTimestamp64Nano(ts_event)) / 1e9,
            {max_gap_s:Float64}
        ) AS stood,
        [bid_1, bid_2, bid_3, bid_4, bid_5, bid_6, bid_7, bid_8, bid_9, bid_10] AS bids,
        [bid_size_1, bid_size_2, bid_size_3, bid_size_4, bid_size_5, bid_size_6, bid_size_7, bid_size_8, bid_size_9, bid_size_10] AS bid_sizes,
        [ask_1, ask_2, ask_3, ask_4, ask_5, ask_6, ask_7, ask_8, ask_9, ask_10] AS asks,
        [ask_size_1, ask_size_2, ask_size_3, ask_size_4, ask_size_5, ask_size_6, ask_size_7, ask_size_8, ask_size_9, ask_size_10] AS ask_sizes
    FROM book_top
    WHERE symbol = {symbol:String}
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
)
ARRAY JOIN bids AS bid, bid_sizes AS bid_size, asks AS ask, ask_sizes AS ask_size, arrayEnumerate(bids) AS level
GROUP BY venue, level
ORDER BY venue, level
