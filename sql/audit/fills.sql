-- Fills of some accounts.
SELECT
    toString(account) AS account,
    execution_id AS id,
    toString(symbol) AS symbol,
    filled,
    toString(shares) AS quantity
FROM fills
WHERE account IN {accounts:Array(String)}
