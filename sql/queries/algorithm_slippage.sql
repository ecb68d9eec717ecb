-- What execution algorithms achieved against arrival price, VWAP and TWAP, in basis points; positive is worse.
-- symbol = : Instrument; empty for all.
-- account = : Account; empty for all.
-- start = 1970-01-01 00:00:00: First market time at which an order ended, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last market time at which an order ended, UTC, exclusive.
SELECT
    algorithm,
    count() AS orders,
    sum(toFloat64(quantity)) AS ordered_quantity,
    sum(filled) AS filled_quantity,
    filled_quantity / ordered_quantity AS filled_share,
    sum(children) AS children,
    -- Weighed by value: a large order's slippage costs more than a small one's.
    sum(slippage_arrival * value) / nullIf(sumIf(value, isNotNull(slippage_arrival)), 0) AS arrival_bps,
    sum(slippage_vwap * value) / nullIf(sumIf(value, isNotNull(slippage_vwap)), 0) AS vwap_bps,
    sum(slippage_twap * value) / nullIf(sumIf(value, isNotNull(slippage_twap)), 0) AS twap_bps,
    -- Exact: of many orders `quantile` takes some at random, and says something else each time.
    quantileExactInclusive(0.5)(slippage_arrival) AS arrival_bps_median,
    avg(participation) AS participation_mean
FROM
(
    SELECT
        *,
        toFloat64(filled_quantity) AS filled,
        filled * toFloat64(average_price) AS value
    FROM algorithm_reports
    WHERE ({symbol:String} = '' OR symbol = {symbol:String})
        AND ({account:String} = '' OR account = {account:String})
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
)
GROUP BY algorithm
ORDER BY algorithm
