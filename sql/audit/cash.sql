-- Cash by account and currency of what is booked, by its terms; dividends left out.
SELECT toString(account) AS account, toString(currency) AS currency, toString(sum(change)) AS number
FROM
(
    SELECT account, currency, -amount - paid AS change
    FROM fills
    WHERE (account, execution_id) IN (SELECT account, cause_id FROM balances WHERE cause = 'execution')
    UNION ALL
    SELECT account, currency, moved AS change
    FROM movements
    WHERE (account, movement_id) IN (SELECT account, cause_id FROM balances WHERE cause = 'cash_movement')
)
GROUP BY account, currency
