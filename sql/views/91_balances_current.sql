-- The cash that each account has of each currency: SELECT * FROM balances_current WHERE account = 'demo'
CREATE OR REPLACE VIEW balances_current AS
SELECT
    account,
    currency,
    now.1 AS ts_event,
    now.2 AS balance
FROM
(
    SELECT account, currency, argMax((ts_event, balance), sequence) AS now
    FROM balances
    GROUP BY account, currency
)
