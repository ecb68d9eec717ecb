-- Rows of a topic and key in order of event time, between two times and behind a row: a page of the API.
-- The two fields narrow it further; where they are the key again, they change nothing.
SELECT * EXCEPT (_appended)
FROM {table:Identifier}
WHERE {key_field:Identifier} = {key:String}
    AND {field_1:Identifier} = {value_1:String}
    AND {field_2:Identifier} = {value_2:String}
    AND ts_event >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND ts_event < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    AND (ts_event, _partition, _offset, _row)
        > (fromUnixTimestamp64Nano({start:Int64}, 'UTC'), {partition:Int32}, {offset:Int64}, {row:Int32})
ORDER BY ts_event, _partition, _offset, _row
LIMIT {limit:UInt32}
