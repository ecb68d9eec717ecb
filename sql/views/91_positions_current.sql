-- Every position as it stands now, flat ones with what they have earned too: SELECT * FROM positions_current WHERE quantity != 0
-- Profit is realised, unrealised and dividends less fees; with the rate of exchange also in the account's currency. Null is
-- unknown: no mark, or no rate, has come yet.
CREATE OR REPLACE VIEW positions_current AS
SELECT
    account,
    strategy,
    symbol,
    currency,
    now.1 AS ts_event,
    now.2 AS quantity,
    now.3 AS average_cost,
    now.4 AS cost,
    now.5 AS mark,
    now.6 AS value,
    now.7 AS unrealised,
    now.8 AS realised,
    now.9 AS dividends,
    now.10 AS fees,
    realised + unrealised + dividends - fees AS profit,
    now.11 AS fx_rate,
    toFloat64(value) * toFloat64(fx_rate) AS value_in_account_currency,
    toFloat64(profit) * toFloat64(fx_rate) AS profit_in_account_currency
FROM
(
    SELECT
        account,
        strategy,
        symbol,
        currency,
        argMax(
            (
                ts_event, quantity, average_cost, cost, mark, value, unrealised, realised, dividends,
                fees, fx_rate
            ),
            sequence
        ) AS now
    FROM positions
    GROUP BY account, strategy, symbol, currency
)
