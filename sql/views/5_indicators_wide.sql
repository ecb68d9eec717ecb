-- One row a bar, one column an indicator (those of the default settings; others are in `indicators`).
CREATE OR REPLACE VIEW indicators_wide AS
SELECT
    symbol,
    interval,
    ts_event,
    anyIf(value, name = 'sma_20') AS sma_20,
    anyIf(value, name = 'ema_20') AS ema_20,
    anyIf(value, name = 'wma_20') AS wma_20,
    anyIf(value, name = 'rsi_14') AS rsi_14,
    anyIf(value, name = 'macd_12_26_9') AS macd_12_26_9,
    anyIf(value, name = 'macd_12_26_9_signal') AS macd_12_26_9_signal,
    anyIf(value, name = 'macd_12_26_9_hist') AS macd_12_26_9_hist,
    anyIf(value, name = 'bbands_20_2_upper') AS bbands_20_2_upper,
    anyIf(value, name = 'bbands_20_2_middle') AS bbands_20_2_middle,
    anyIf(value, name = 'bbands_20_2_lower') AS bbands_20_2_lower,
    anyIf(value, name = 'stoch_14_3_3_k') AS stoch_14_3_3_k,
    anyIf(value, name = 'stoch_14_3_3_d') AS stoch_14_3_3_d,
    anyIf(value, name = 'adx_14') AS adx_14,
    anyIf(value, name = 'atr_14') AS atr_14,
    anyIf(value, name = 'cci_20') AS cci_20,
    anyIf(value, name = 'obv') AS obv,
    anyIf(value, name = 'vwap_session') AS vwap_session
FROM indicators
GROUP BY symbol, interval, ts_event
ORDER BY symbol, interval, ts_event
