-- How the exits of orders stand: the newest event of each that says it.
SELECT * EXCEPT (_partition, _offset, _row, _appended)
FROM order_events
WHERE account = {account:String} AND parent_order_id IN {order_ids:Array(String)} AND status != 'unknown'
    -- Without it, it answers what came long after the order's end.
    AND order_type IS NOT NULL
ORDER BY sequence DESC
LIMIT 1 BY order_id
