-- Bars with their default indicators beside them: SELECT * FROM bars_wide WHERE symbol = 'IBM' AND interval = '1m'
CREATE OR REPLACE VIEW bars_wide AS
SELECT
    b.symbol AS symbol,
    b.interval AS interval,
    b.ts_event AS ts_event,
    b.ts_start AS ts_start,
    b.open AS open,
    b.high AS high,
    b.low AS low,
    b.close AS close,
    b.volume AS volume,
    b.trade_count AS trade_count,
    b.vwap AS vwap,
    b.buy_volume AS buy_volume,
    b.sell_volume AS sell_volume,
    i.sma_20 AS sma_20,
    i.ema_20 AS ema_20,
    i.wma_20 AS wma_20,
    i.rsi_14 AS rsi_14,
    i.macd_12_26_9 AS macd_12_26_9,
    i.macd_12_26_9_signal AS macd_12_26_9_signal,
    i.macd_12_26_9_hist AS macd_12_26_9_hist,
    i.bbands_20_2_upper AS bbands_20_2_upper,
    i.bbands_20_2_middle AS bbands_20_2_middle,
    i.bbands_20_2_lower AS bbands_20_2_lower,
    i.stoch_14_3_3_k AS stoch_14_3_3_k,
    i.stoch_14_3_3_d AS stoch_14_3_3_d,
    i.adx_14 AS adx_14,
    i.atr_14 AS atr_14,
    i.cci_20 AS cci_20,
    i.obv AS obv,
    i.vwap_session AS vwap_session
FROM bars AS b
LEFT JOIN indicators_wide AS i
    ON b.symbol = i.symbol AND b.interval = i.interval AND b.ts_event = i.ts_event
