-- Quantities of what is booked by its terms, as if there were no corporate actions.
SELECT
    toString(account) AS account,
    toString(strategy) AS strategy,
    toString(symbol) AS symbol,
    toString(currency) AS currency,
    toString(sum(shares)) AS number
FROM fills
WHERE (account, execution_id) IN (SELECT account, cause_id FROM positions WHERE cause = 'execution')
GROUP BY account, strategy, symbol, currency
