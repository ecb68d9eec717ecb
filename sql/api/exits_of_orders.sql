-- How the exits of orders stand: the newest event of each.
SELECT * EXCEPT (_partition, _offset, _row, _appended)
FROM order_events
WHERE account = {account:String} AND parent_order_id IN {order_ids:Array(String)} AND status != 'unknown'
ORDER BY sequence DESC
LIMIT 1 BY order_id
