-- The command that made an order: of an identifier that comes twice the first row counts.
SELECT * EXCEPT (_partition, _offset, _row, _appended)
FROM orders
WHERE order_id = {order_id:String} AND command = 'new'
ORDER BY _partition, _offset, _row
LIMIT 1
