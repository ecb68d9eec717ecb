-- Cash by account and currency as it was written.
SELECT
    toString(account) AS account,
    toString(currency) AS currency,
    toString(toInt256(toDecimal256(balance, 10) * one)) AS number
FROM balances_current
