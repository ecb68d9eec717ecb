-- All executions of an order, oldest first.
SELECT * EXCEPT (_partition, _offset, _row, _appended)
FROM executions
WHERE order_id = {order_id:String}
ORDER BY ts_event, _partition, _offset, _row
LIMIT {limit:UInt32}
