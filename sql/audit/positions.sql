-- Quantities as they were written.
SELECT
    toString(account) AS account,
    toString(strategy) AS strategy,
    toString(symbol) AS symbol,
    toString(currency) AS currency,
    toString(toInt256(toDecimal256(quantity, 10) * one)) AS number
FROM positions_current
