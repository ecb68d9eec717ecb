-- All events of an order, oldest first.
SELECT * EXCEPT (_partition, _offset, _row, _appended)
FROM order_events
WHERE order_id = {order_id:String}
ORDER BY sequence
LIMIT {limit:UInt32}
