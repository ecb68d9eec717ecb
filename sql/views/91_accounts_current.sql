-- What each account may do now: its newest row; account * is all of them: SELECT * FROM accounts_current WHERE halted
CREATE OR REPLACE VIEW accounts_current AS
SELECT
    account,
    now.1 AS ts_event,
    now.2 AS currency,
    now.3 AS type,
    now.4 AS leverage,
    now.5 AS max_order_quantity,
    now.6 AS max_order_notional,
    now.7 AS max_position_quantity,
    now.8 AS max_position_notional,
    now.9 AS max_gross_notional,
    now.10 AS price_collar,
    now.11 AS max_orders_per_second,
    now.12 AS duplicate_window_ms,
    now.13 AS restricted,
    now.14 AS easy_to_borrow,
    now.15 AS self_trade_allowed,
    now.16 AS halted,
    now.17 AS user
FROM
(
    SELECT
        account,
        argMax(
            (
                ts_event, currency, type, leverage, max_order_quantity, max_order_notional,
                max_position_quantity, max_position_notional, max_gross_notional, price_collar,
                max_orders_per_second, duplicate_window_ms, restricted, easy_to_borrow,
                self_trade_allowed, halted, user
            ),
            (_offset, _row)
        ) AS now
    FROM accounts
    GROUP BY account
)
