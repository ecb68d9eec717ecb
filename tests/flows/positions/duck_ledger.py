"""Cash and quantities of accounts, computed from scratch by DuckDB from what came in, by event time.

For histories in which every action is told before its ex time, and every fill before the next action.
"""

from decimal import Decimal
from typing import Any

import duckdb

_MACROS = """
    CREATE MACRO scaled(x) AS replace(CAST(CAST(x AS DECIMAL(38, 10)) AS VARCHAR), '.', '')::HUGEINT;
    CREATE MACRO half_even(n, d) AS (CASE WHEN n < 0 THEN -1 ELSE 1 END)::HUGEINT * (
        abs(n) // d + CASE WHEN 2 * (abs(n) % d) > d OR (2 * (abs(n) % d) = d AND (abs(n) // d) % 2 = 1)
            THEN 1 ELSE 0 END
    );
    CREATE MACRO unit(currency) AS CASE currency WHEN 'JPY' THEN 10000000000 ELSE 100000000 END::HUGEINT;
"""
_FILLS = """
    CREATE TABLE fills AS
    SELECT account, strategy, symbol, currency, epoch_ns(ts_event) AS ts,
        CASE side WHEN 'buy' THEN 1 ELSE -1 END * scaled(quantity) AS q,
        CASE side WHEN 'buy' THEN -1 ELSE 1 END
            * half_even(scaled(quantity) * scaled(price), 10000000000::HUGEINT * unit(currency)) * unit(currency)
            - scaled(fees) AS change
    FROM executions;
    CREATE TABLE cash AS
    SELECT account, currency, change FROM fills
    UNION ALL
    SELECT account, currency, scaled(amount) FROM (
        SELECT DISTINCT ON (account, movement_id) * FROM cash_movements
    );
    CREATE TABLE held (account VARCHAR, strategy VARCHAR, symbol VARCHAR, currency VARCHAR, q HUGEINT);
"""
_FOLD = """
    CREATE OR REPLACE TABLE held AS
    SELECT account, strategy, symbol, currency, sum(q)::HUGEINT AS q FROM (
        SELECT * FROM held UNION ALL
        SELECT account, strategy, symbol, currency, q FROM fills WHERE ts >= $begin AND ts < $end
    ) GROUP BY ALL
"""
_ACTS = {
    "split": """
        UPDATE held SET q = coalesce(nullif(half_even(q * $new, $old), 0), q) WHERE symbol = $symbol
    """,
    "dividend": """
        INSERT INTO cash
        SELECT account, currency, half_even(q * $amount, 10000000000::HUGEINT * unit(currency)) * unit(currency)
        FROM held WHERE symbol = $symbol
    """,
    "spin_off": """
        INSERT INTO held
        SELECT account, strategy, $other, currency, half_even(q * $new, $old) FROM held WHERE symbol = $symbol
    """,
    "symbol_change": "UPDATE held SET symbol = $other WHERE symbol = $symbol",
}
_TERMS = {
    "split": ("symbol", "new", "old"),
    "dividend": ("symbol", "amount"),
    "spin_off": ("symbol", "other", "new", "old"),
    "symbol_change": ("symbol", "other"),
}
_EARLIEST, _LATEST = -(2**62), 2**62


def recomputed(
    duck: duckdb.DuckDBPyConnection,
) -> tuple[dict[tuple[str, ...], Decimal], dict[tuple[str, ...], Decimal]]:
    """Cash by account and currency; quantities by account, strategy, symbol and currency, where not zero.

    Parameters
    ----------
    duck : duckdb.DuckDBPyConnection
        With `executions`, `cash_movements` and `corporate_actions`; tables are made in it.
    """
    duck.execute(_MACROS)
    duck.execute(_FILLS)
    actions = duck.sql(
        """
        SELECT DISTINCT ON (action_id) epoch_ns(ts_event) AS ts, action, symbol, scaled(numerator) AS new,
            scaled(denominator) AS old, scaled(amount) AS amount, new_symbol AS other
        FROM corporate_actions ORDER BY ts, action_id
        """
    ).fetchall()
    names = ("ts", "action", "symbol", "new", "old", "amount", "other")
    begin = _EARLIEST
    for values in actions:
        action: dict[str, Any] = dict(zip(names, values, strict=True))
        duck.execute(_FOLD, {"begin": begin, "end": action["ts"]})
        begin = action["ts"]
        kind = action["action"]
        duck.execute(_ACTS[kind], {name: action[name] for name in _TERMS[kind]})
    duck.execute(_FOLD, {"begin": begin, "end": _LATEST})
    cash = duck.sql("SELECT account, currency, sum(change)::HUGEINT FROM cash GROUP BY ALL")
    held = duck.sql(
        "SELECT account, strategy, symbol, currency, sum(q)::HUGEINT FROM held GROUP BY ALL HAVING sum(q) != 0"
    )
    return _numbers(cash.fetchall()), _numbers(held.fetchall())


def _numbers(rows: list[tuple[Any, ...]]) -> dict[tuple[str, ...], Decimal]:
    return {tuple(names): Decimal(number).scaleb(-10) for *names, number in rows}
