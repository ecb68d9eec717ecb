-- Profit of each position by day (UTC, market time) on which it was told: SELECT * FROM profit_daily WHERE account = 'demo'
-- Profit is what has come up since the day before on which the position was told; total is all of it so far.
CREATE OR REPLACE VIEW profit_daily AS
SELECT
    account,
    strategy,
    symbol,
    currency,
    day,
    at.1 AS quantity,
    at.2 AS value,
    at.3 AS realised,
    at.4 AS unrealised,
    at.5 AS dividends,
    at.6 AS fees,
    at.3 + at.4 + at.5 - at.6 AS total,
    total - if(is_first, CAST(0, 'Nullable(Decimal(38, 10))'), before.3 + before.4 + before.5 - before.6) AS profit
FROM
(
    SELECT
        *,
        row_number() OVER of_position = 1 AS is_first,
        lagInFrame(at, 1) OVER of_position AS before
    FROM
    (
        SELECT
            account,
            strategy,
            symbol,
            currency,
            toDate(ts_event, 'UTC') AS day,
            argMax((quantity, value, realised, unrealised, dividends, fees), sequence) AS at
        FROM positions
        GROUP BY account, strategy, symbol, currency, day
    )
    WINDOW of_position AS (
        PARTITION BY account, strategy, symbol, currency
        ORDER BY day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)
