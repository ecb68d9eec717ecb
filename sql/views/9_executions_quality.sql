-- How good each fill was against the best prices that were known: SELECT * FROM executions_quality WHERE symbol = 'IBM'
-- Costs are in basis points of the mid, positive is worse; improvement is what a fill is better than the other side's best.
-- All are null where a side was not known.
CREATE OR REPLACE VIEW executions_quality AS
SELECT
    account,
    ts_event,
    order_id,
    execution_id,
    symbol,
    side,
    venue,
    liquidity,
    toFloat64(quantity) AS shares,
    toFloat64(price) AS paid,
    toFloat64(fees) AS paid_fees,
    currency,
    (toFloat64(bid) + toFloat64(ask)) / 2 AS mid,
    if(side = 'buy', 1, -1) AS sign,
    20000 * sign * (paid - mid) / mid AS effective_spread_bps,
    10000 * (toFloat64(ask) - toFloat64(bid)) / mid AS quoted_spread_bps,
    sign * (toFloat64(if(side = 'buy', ask, bid)) - paid) AS improvement,
    10000 * (sign * (paid - mid) + paid_fees / shares) / mid AS cost_bps
FROM executions
