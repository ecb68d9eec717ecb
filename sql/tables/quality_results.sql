-- Landed rows of quality_results/1: What one check of data quality found in the landed rows of a topic of one UTC day.
-- Made from schemas/ by `python -m schemas.clickhouse_ddl`; change the declaration.
CREATE TABLE IF NOT EXISTS quality_results
(
    `source_topic` LowCardinality(String) COMMENT 'Topic whose rows were checked.',
    `ts_event` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] Begin of the UTC day whose rows were checked.' CODEC(Delta, LZ4),
    `target` LowCardinality(String) COMMENT 'Where the rows were read.',
    `expectation` LowCardinality(String) COMMENT 'Name of the check, as schemas/quality.py declares it.',
    `kind` LowCardinality(String) COMMENT 'What the check is about.',
    `symbol` LowCardinality(Nullable(String)) COMMENT 'Instrument that it is about; null for a check of all rows.',
    `status` LowCardinality(String) COMMENT 'Whether what was expected was found; not_judged where there was too little to tell.',
    `rows` Int64 COMMENT '[rows] Rows that were checked.',
    `unexpected` Int64 COMMENT '[rows] Rows, or gaps between rows, that are not as expected.',
    `observed` Nullable(Float64) COMMENT '[see meaning] What was compared with the limits: count of rows, longest time (s), share, sigmas or ratio.',
    `limit_low` Nullable(Float64) COMMENT '[see meaning] The least that is expected of it.',
    `limit_high` Nullable(Float64) COMMENT '[see meaning] The most that is expected of it.',
    `ts_first` Nullable(DateTime64(9, 'UTC')) COMMENT '[ns since 1970-01-01 UTC] Event time of the first unexpected row, or begin of the first unexpected gap.' CODEC(Delta, LZ4),
    `source_partition` Nullable(Int32) COMMENT 'Log partition of the first unexpected row.',
    `source_offset` Nullable(Int64) COMMENT 'Its offset.',
    `source_row` Nullable(Int32) COMMENT 'Its row in the record.',
    `meaning` String COMMENT 'What is expected, in words.',
    `parameters` String COMMENT 'JSON object: what the check was declared with.',
    `position` String COMMENT 'The rows that were checked, by partition and largest offset, such as 0:17,1:9; what else it rests on.',
    `note` Nullable(String) COMMENT 'Why it was not judged.',
    `_partition` Int32 COMMENT 'Log partition of the row\'s record.',
    `_offset` Int64 COMMENT 'Log offset of the row\'s record.' CODEC(Delta, LZ4),
    `_row` Int32 COMMENT 'Place of the row in its record, from 0.',
    `_appended` DateTime64(9, 'UTC') COMMENT '[ns since 1970-01-01 UTC] When the log took the record: a property of this log, no part of the row\'s digest.' CODEC(Delta, LZ4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts_event)
ORDER BY (`source_topic`, `ts_event`, `expectation`, `target`)
SETTINGS index_granularity = 2048, min_compress_block_size = 16384, default_compression_codec = 'LZ4',
    non_replicated_deduplication_window = 10000, min_parts_to_merge_at_once = 16
COMMENT 'quality_results/1: What one check of data quality found in the landed rows of a topic of one UTC day.';
