-- Corporate actions, in order of ex time.
SELECT
    action_id AS id,
    toString(action) AS kind,
    toString(symbol) AS old_symbol,
    toUnixTimestamp64Nano(ts_event) AS ex,
    toString(toInt256(toDecimal256(ifNull(numerator, 1), 10) * one)) AS new,
    toString(toInt256(toDecimal256(ifNull(denominator, 1), 10) * one)) AS old,
    toString(toInt256(toDecimal256(ifNull(amount, 0), 10) * one)) AS each,
    toString(ifNull(currency, '')) AS paid,
    toString(ifNull(new_symbol, '')) AS other
FROM corporate_actions
ORDER BY ts_event, _offset, _row
LIMIT 1 BY action_id
