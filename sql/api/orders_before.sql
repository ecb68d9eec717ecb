-- New orders of an account, newest first: older than what the API has in memory, and behind an order if one is given.
SELECT * EXCEPT (_appended)
FROM orders
WHERE account = {account:String} AND command = 'new'
    AND ({symbol:String} = '' OR symbol = {symbol:String})
    AND ({strategy:String} = '' OR strategy = {strategy:String})
    AND ts_event >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND ts_event < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    AND _offset < transform(_partition, {partitions:Array(Int32)}, {offsets:Array(Int64)}, toInt64(9223372036854775807))
    AND ({behind:String} = '' OR (_partition, _offset, _row) < (
        SELECT _partition, _offset, _row
        FROM orders
        WHERE account = {account:String} AND order_id = {behind:String} AND command = 'new'
        ORDER BY _partition, _offset, _row
        LIMIT 1
    ))
ORDER BY _partition DESC, _offset DESC, _row DESC
LIMIT 1 BY order_id
LIMIT {limit:UInt32}
