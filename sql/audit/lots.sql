-- Profit of closed lots beside that of the positions, where they differ; and how many positions there are.
SELECT
    count() AS positions,
    countIf(closed = realised) AS equal,
    toString(anyIf(concat(account, ' ', symbol, ': ', toString(closed), ' of lots, ', toString(realised), ' of the position'), closed != realised)) AS first
FROM
(
    SELECT account, strategy, symbol, currency, sum(of_lots) AS closed, sum(of_position) AS realised
    FROM
    (
        SELECT account, strategy, symbol, currency, toDecimal256(0, 10) AS of_lots, toDecimal256(p.realised, 10) AS of_position
        FROM positions_current AS p
        UNION ALL
        SELECT account, strategy, symbol, currency, toDecimal256(c.realised, 10) AS of_lots, toDecimal256(0, 10) AS of_position
        FROM lot_closings AS c
    )
    GROUP BY account, strategy, symbol, currency
)
