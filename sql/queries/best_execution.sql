-- Where orders went and what that cost, by type and venue, as Rule 606(a) of Regulation NMS asks of a month or quarter.
-- symbol = : Instrument; empty for all.
-- start = 1970-01-01 00:00:00: First market time of an order, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last market time of an order, UTC, exclusive.
-- 17 CFR 242.606(a)(1): orders that named a venue themselves are left out. An order that was spread over venues counts at
-- each of them, so that shares of orders of one type can be more than 1 together; shares of quantity are not.
WITH
    ordered AS
    (
        SELECT
            order_id,
            argMin(order_type, sequence) AS type,
            argMin(side, sequence) AS side,
            argMin(tuple(limit_price), sequence).1 AS limit_price,
            argMin(tuple(algorithm), sequence).1 AS algorithm
        FROM instructions
        WHERE action = 'new'
            AND ({symbol:String} = '' OR symbol = {symbol:String})
            AND ts_event >= {start:DateTime64(9, 'UTC')}
            AND ts_event < {end:DateTime64(9, 'UTC')}
        GROUP BY order_id
        HAVING isNull(argMin(tuple(venue), sequence).1)
    ),
    seen AS
    (
        -- What the best prices were when the order was routed first.
        SELECT order_id, argMin(tuple(bid), sequence).1 AS bid, argMin(tuple(ask), sequence).1 AS ask
        FROM routing_decisions
        GROUP BY order_id
    ),
    typed AS
    (
        SELECT
            order_id,
            multiIf(
                isNotNull(algorithm), 'other',
                type = 'market', 'market',
                type != 'limit', 'other',
                side = 'buy' AND limit_price >= ask, 'marketable limit',
                side != 'buy' AND limit_price <= bid, 'marketable limit',
                'non-marketable limit'
            ) AS order_type
        FROM ordered
        INNER JOIN seen USING order_id
    ),
    routed AS
    (
        SELECT order_id, venue, sum(toFloat64(quantity)) AS quantity, 0. AS filled, 0. AS fees, 0. AS improvement
        FROM routing_decisions
        GROUP BY order_id, venue
        UNION ALL
        SELECT
            order_id,
            venue,
            0. AS quantity,
            sum(shares) AS filled,
            sum(paid_fees) AS fees,
            sum(coalesce(improvement * shares, 0)) AS improvement
        FROM executions_quality
        GROUP BY order_id, venue
    )
SELECT
    order_type,
    venue,
    uniqExact(order_id) AS orders,
    orders / any(all_orders) AS order_share,
    sum(quantity) AS routed_quantity,
    sum(filled) AS filled_quantity,
    filled_quantity / any(all_filled) AS filled_share,
    sum(fees) AS paid_fees,
    -- Dollars for a hundred shares; negative was received.
    100 * paid_fees / nullIf(filled_quantity, 0) AS fees_per_hundred,
    100 * sum(improvement) / nullIf(filled_quantity, 0) AS improvement_per_hundred
FROM
(
    SELECT
        order_type,
        venue,
        order_id,
        quantity,
        filled,
        fees,
        improvement,
        sum(filled) OVER (PARTITION BY order_type) AS all_typed,
        nullIf(all_typed, 0) AS all_filled
    FROM typed
    INNER JOIN routed USING order_id
) AS parts
INNER JOIN
(
    SELECT order_type, uniqExact(order_id) AS all_orders
    FROM typed
    GROUP BY order_type
) AS totals USING order_type
GROUP BY order_type, venue
ORDER BY order_type, filled_quantity DESC, venue
SETTINGS join_use_nulls = 1
