-- Executions of an account, newest first, behind an execution if one is given.
SELECT * EXCEPT (_appended)
FROM executions
WHERE account = {account:String}
    AND ({symbol:String} = '' OR symbol = {symbol:String})
    AND ({strategy:String} = '' OR strategy = {strategy:String})
    AND ({order_id:String} = '' OR order_id = {order_id:String})
    AND ts_event >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND ts_event < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    AND _offset < transform(_partition, {partitions:Array(Int32)}, {offsets:Array(Int64)}, toInt64(9223372036854775807))
    AND ({behind:String} = '' OR (_partition, _offset, _row) < (
        SELECT _partition, _offset, _row
        FROM executions
        WHERE account = {account:String} AND execution_id = {behind:String}
        LIMIT 1
    ))
ORDER BY _partition DESC, _offset DESC, _row DESC
LIMIT {limit:UInt32}
