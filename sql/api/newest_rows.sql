-- The newest row of each group of some keys: what the API has not in memory.
SELECT * EXCEPT (_partition, _offset, _row, _appended)
FROM {table:Identifier}
WHERE {key_field:Identifier} IN {keys:Array(String)}
ORDER BY ts_event DESC, _partition DESC, _offset DESC, _row DESC
LIMIT 1 BY {key_field:Identifier}, {field_1:Identifier}, {field_2:Identifier}
LIMIT {limit:UInt32}
