-- Rows of a topic and key in order of event time, between two times: a page of the API.
-- Lines marked so are left out where their parameters are not given: what narrows it, and the row that it begins behind.
SELECT * EXCEPT (_appended)
FROM {table:Identifier}
PREWHERE {key_field:Identifier} = {key:String}
    AND ts_event >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
    AND ts_event < fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    AND {field_1:Identifier} = {value_1:String} -- where given
    AND {field_2:Identifier} = {value_2:String} -- where given
    AND (ts_event, _partition, _offset, _row) > (fromUnixTimestamp64Nano({start:Int64}, 'UTC'), {partition:Int32}, {offset:Int64}, {row:Int32}) -- where given
ORDER BY ts_event, _partition, _offset, _row
LIMIT {limit:UInt32}
-- Columns are read at once: to read them only for the rows of the page costs more than the page.
SETTINGS query_plan_optimize_lazy_materialization = 0
