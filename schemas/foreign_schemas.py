"""Schemas of foreign Avro records, as a registry told them: what intake decodes hangs on the log alone."""

from schemas.field import CATEGORY, TEXT, TIMESTAMP, Field
from schemas.topic import Kind, Landing, Partition, Topic

FOREIGN_SCHEMAS = Topic(
    name="foreign_schemas",
    version=1,
    kind=Kind.RAW,
    meaning="What a schema registry told of an identifier that foreign records name.",
    fields=(
        Field(
            name="schema_id",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Identifier of the schema in the registry, as a decimal number.",
        ),
        Field(
            name="ts_event",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=False,
            meaning="When the registry was asked.",
        ),
        Field(
            name="schema_type",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning="Kind of schema, such as AVRO; null where the registry has none.",
        ),
        Field(
            name="schema_text",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="The schema as the registry has it; null where its records cannot be decoded.",
        ),
        Field(
            name="reason",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="Why its records cannot be decoded; null where they can.",
        ),
    ),
    key="schema_id",
    event_time="ts_event",
    identity=("schema_id", "ts_event"),
    landing=Landing(order_by=("schema_id", "ts_event"), partition_by=Partition.YEAR),
    watermarked=False,
    partitions=1,
)
