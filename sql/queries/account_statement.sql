-- An account's cash by currency, change by change, with what each was for.
-- account: Account.
-- start = 1970-01-01 00:00:00: First market time, UTC, inclusive.
-- end = 2262-01-01 00:00:00: Last market time, UTC, exclusive.
SELECT
    b.currency AS currency,
    b.ts_event AS ts_event,
    b.cause AS cause,
    -- Topics land apart: the change may be here before its execution or movement is.
    coalesce(
        concat(e.side, ' ', toString(e.quantity), ' ', e.symbol, ' at ', toString(e.price)),
        toString(m.kind),
        b.cause
    ) AS what,
    e.fees AS fees,
    b.change AS change,
    b.balance AS balance,
    b.cause_id AS cause_id
FROM
(
    SELECT * FROM balances
    WHERE account = {account:String}
        AND ts_event >= {start:DateTime64(9, 'UTC')}
        AND ts_event < {end:DateTime64(9, 'UTC')}
) AS b
LEFT JOIN (SELECT * FROM executions WHERE account = {account:String}) AS e
    ON b.cause_id = e.execution_id AND b.cause = 'execution'
LEFT ANY JOIN (SELECT * FROM cash_movements WHERE account = {account:String}) AS m
    ON b.cause_id = m.movement_id AND b.cause = 'cash_movement'
ORDER BY b.sequence
SETTINGS join_use_nulls = 1
