-- Profit by account, strategy and currency as it stands now: realised, unrealised, dividends and fees.
-- accounts = *: Accounts, with commas; * for all.
SELECT
    account,
    strategy,
    currency,
    countIf(p.quantity != 0) AS open_positions,
    sum(p.realised) AS realised,
    if(countIf(isNull(p.unrealised)) = 0, sum(p.unrealised), NULL) AS unrealised,
    sum(p.dividends) AS dividends,
    sum(p.fees) AS fees,
    realised + unrealised + dividends - fees AS profit,
    if(countIf(isNull(p.value)) = 0, sum(abs(p.value)), NULL) AS gross_value
FROM positions_current AS p
WHERE has({accounts:Array(String)}, '*') OR has({accounts:Array(String)}, account)
GROUP BY account, strategy, currency
ORDER BY account, strategy, currency
