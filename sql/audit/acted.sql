-- Fills and actions, as they were booked, of the accounts and strategies that hold what an action may have changed.
SELECT
    toString(account) AS account,
    toString(strategy) AS strategy,
    toString(currency) AS currency,
    toString(symbol) AS symbol,
    toString(cause) AS cause,
    assumeNotNull(cause_id) AS id,
    min(sequence) AS first,
    min(toUnixTimestamp64Nano(ts_event)) AS told
FROM positions
WHERE cause IN ('execution', 'corporate_action')
    AND (account, strategy, currency) IN (
        SELECT account, strategy, currency FROM positions WHERE symbol IN (SELECT symbol FROM corporate_actions)
    )
GROUP BY account, strategy, currency, symbol, cause, id
