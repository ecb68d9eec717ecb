-- Bars with the indicators asked for beside them, as a map from name to value.
-- symbol: Instrument.
-- interval = 1m: Interval of the bars.
-- names = rsi_14,sma_20: Indicators, as they are called in the topic.
-- start = 1970-01-01 00:00:00: First end of a bar, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last end of a bar, UTC, exclusive.
SELECT
    b.symbol AS symbol,
    b.ts_event AS ts_event,
    b.open AS open,
    b.high AS high,
    b.low AS low,
    b.close AS close,
    b.volume AS volume,
    i.values AS indicators
FROM
(
    SELECT *
    FROM bars
    WHERE symbol = {symbol:String}
        AND interval = {interval:String}
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
) AS b
LEFT JOIN
(
    SELECT
        ts_event,
        mapFromArrays(groupArray(name), groupArray(assumeNotNull(value))) AS values
    FROM indicators
    WHERE symbol = {symbol:String}
        AND interval = {interval:String}
        AND has({names:Array(String)}, name)
        AND isNotNull(value)
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
    GROUP BY ts_event
) AS i ON i.ts_event = b.ts_event
ORDER BY ts_event
