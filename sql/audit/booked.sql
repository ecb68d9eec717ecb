-- How many fills and movements were read, are booked, and were refused with a reason; and the first that is neither.
SELECT
    count() AS read,
    countIf(is_booked) AS booked,
    countIf(is_refused AND NOT is_booked) AS refused,
    toString(anyIf(concat(account, ' ', id), NOT is_booked AND NOT is_refused)) AS first
FROM
(
    SELECT
        account,
        id,
        (account, cause, id) IN (SELECT toString(account), toString(cause), cause_id FROM balances) AS is_booked,
        (account, id) IN (
            SELECT toString(account), cause_id FROM ledger_faults WHERE kind = 'too_large'
        ) AS is_refused
    FROM
    (
        SELECT toString(account) AS account, execution_id AS id, 'execution' AS cause FROM fills WHERE is_read
        UNION ALL
        SELECT toString(account) AS account, movement_id AS id, 'cash_movement' AS cause
        FROM movements WHERE is_read
    )
)
