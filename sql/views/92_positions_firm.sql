-- What all accounts together hold and have earned: SELECT * FROM positions_firm ORDER BY abs(value) DESC
-- A sum is null where a part of it is unknown; gross is what long and short positions are worth without their signs.
CREATE OR REPLACE VIEW positions_firm AS
SELECT
    symbol,
    currency,
    uniqExact(account) AS accounts,
    sum(p.quantity) AS quantity,
    sumIf(p.quantity, p.quantity > 0) AS long_quantity,
    sumIf(p.quantity, p.quantity < 0) AS short_quantity,
    sum(p.cost) AS cost,
    if(countIf(isNull(p.value)) = 0, sum(p.value), NULL) AS value,
    if(countIf(isNull(p.value)) = 0, sum(abs(p.value)), NULL) AS gross,
    if(countIf(isNull(p.unrealised)) = 0, sum(p.unrealised), NULL) AS unrealised,
    sum(p.realised) AS realised,
    sum(p.dividends) AS dividends,
    sum(p.fees) AS fees,
    realised + unrealised + dividends - fees AS profit
FROM positions_current AS p
GROUP BY symbol, currency
