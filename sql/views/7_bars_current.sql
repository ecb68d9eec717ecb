-- Bars as corrected since they were written; revision 0 is as written: SELECT * FROM bars_current WHERE symbol = 'IBM'
CREATE OR REPLACE VIEW bars_current AS
SELECT
    b.symbol AS symbol,
    b.interval AS interval,
    b.ts_event AS ts_event,
    b.ts_start AS ts_start,
    if(r.revision > 0, r.told.1, b.open) AS open,
    if(r.revision > 0, r.told.2, b.high) AS high,
    if(r.revision > 0, r.told.3, b.low) AS low,
    if(r.revision > 0, r.told.4, b.close) AS close,
    if(r.revision > 0, r.told.5, b.volume) AS volume,
    if(r.revision > 0, r.told.6, b.trade_count) AS trade_count,
    if(r.revision > 0, r.told.7, b.vwap) AS vwap,
    if(r.revision > 0, r.told.8, b.buy_volume) AS buy_volume,
    if(r.revision > 0, r.told.9, b.sell_volume) AS sell_volume,
    r.revision AS revision
FROM bars AS b
LEFT JOIN
(
    -- The newest revision of each bar that has one.
    SELECT
        symbol,
        interval,
        ts_end,
        max(bars_revised.revision) AS revision,
        argMax(
            (open, high, low, close, volume, trade_count, vwap, buy_volume, sell_volume),
            bars_revised.revision
        ) AS told
    FROM bars_revised
    GROUP BY symbol, interval, ts_end
) AS r
    ON b.symbol = r.symbol AND b.interval = r.interval AND b.ts_event = r.ts_end
