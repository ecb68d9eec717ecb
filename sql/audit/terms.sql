-- What every audit of accounts begins with: fills and movements by their terms, the first of each identifier.
-- Numbers are integers scaled by 10**10, of 256 bits. The consideration of a fill and its fees are rounded half-even to
-- the minor unit of the currency; the amount is what was paid, less than zero of a sale.
WITH
    toDecimal256('10000000000', 0) AS one,
    (
        numerator, denominator
    ) -> sign(numerator) * (
        intDiv(abs(numerator), denominator)
        + toInt256(
            2 * (abs(numerator) % denominator) > denominator
            OR (2 * (abs(numerator) % denominator) = denominator AND intDiv(abs(numerator), denominator) % 2 = 1)
        )
    ) AS half_even,
    fills AS
    (
        SELECT
            account,
            strategy,
            symbol,
            currency,
            execution_id,
            toUnixTimestamp64Nano(ts_event) AS filled,
            if(side = 'buy', 1, -1) * toInt256(toDecimal256(quantity, 10) * one) AS shares,
            toInt256(transform(currency, {currencies:Array(String)}, {units:Array(Int64)}, toInt64(100))) AS unit,
            unit * half_even(
                shares * toInt256(toDecimal256(price, 10) * one), toInt256('10000000000') * unit
            ) AS amount,
            unit * half_even(toInt256(toDecimal256(executions.fees, 10) * one), unit) AS paid,
            _offset < transform(
                _partition, {fills_partitions:Array(Int32)}, {fills_ends:Array(Int64)}, toInt64(0)
            ) AS is_read
        FROM executions
        ORDER BY account, execution_id, _offset, _row
        LIMIT 1 BY account, execution_id
    ),
    movements AS
    (
        SELECT
            account,
            currency,
            movement_id,
            toInt256(toDecimal256(cash_movements.amount, 10) * one) AS moved,
            _offset < transform(
                _partition, {movements_partitions:Array(Int32)}, {movements_ends:Array(Int64)}, toInt64(0)
            ) AS is_read
        FROM cash_movements
        ORDER BY account, movement_id, _offset, _row
        LIMIT 1 BY account, movement_id
    )
