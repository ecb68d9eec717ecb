"""Rows that did not take part, each with its reason: late, rejected, or not applied."""

from dataclasses import replace

from schemas.field import BOOL, BYTES, CATEGORY, INT32, INT64, TEXT, TIMESTAMP, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

# A record of a log (Kafka's has 64 MiB at most) must hold a row with its payload. What a producer or a file packs may
# be larger when it is unpacked.
PAYLOAD_BYTES_MAX = 32 << 20

_NS = "ns since 1970-01-01 UTC"

REASON = Field(
    name="reason",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning="Why the row did not take part: what was needed and what came.",
)
SOURCE_TOPIC = Field(
    name="source_topic",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning="Topic, inbox or file that the row came from.",
)
SOURCE_PARTITION = Field(
    name="source_partition",
    type=INT32,
    unit="none",
    nullable=True,
    minimum=0,
    meaning="Log partition of the row; null for a file.",
)
SOURCE_OFFSET = Field(
    name="source_offset",
    type=INT64,
    unit="none",
    nullable=True,
    minimum=0,
    meaning=(
        "Log offset of the record that holds the row, line number in a file (from 1), or receive time "
        "of a live source's message (ns since 1970 UTC)."
    ),
)
SOURCE_ROW = Field(
    name="source_row",
    type=INT32,
    unit="none",
    nullable=True,
    minimum=0,
    meaning="Row within the record; null where the record could not be split into rows.",
)

LATE = Topic(
    name="late",
    version=1,
    kind=Kind.DERIVED,
    meaning="A window of a flow that a row came too late for.",
    fields=(
        Field(
            name="key",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Key of the late row.",
        ),
        replace(TS_EVENT, meaning="The late row's event time."),
        Field(
            name="flow",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="The flow that could not use the row.",
        ),
        replace(SOURCE_TOPIC, meaning="Input topic of the late row."),
        replace(SOURCE_PARTITION, meaning="Its partition; null for a derived input."),
        replace(SOURCE_OFFSET, meaning="Its offset; null for a derived input."),
        replace(SOURCE_ROW, meaning="Its row in the record; null for a derived input."),
        Field(
            name="source_identity",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="Identity fields of the row as JSON, for a derived input; null for a raw one.",
        ),
        Field(
            name="window",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Which of the flow's windows was closed, such as the bar interval.",
        ),
        Field(
            name="ts_window_end",
            type=TIMESTAMP,
            unit=_NS,
            nullable=True,
            meaning="End of the closed window; null where the row was behind its input's frontier.",
        ),
        Field(
            name="ts_frontier",
            type=TIMESTAMP,
            unit=_NS,
            nullable=False,
            meaning="The key's frontier when the row came.",
        ),
        Field(
            name="used",
            type=BOOL,
            unit="none",
            nullable=False,
            meaning="Whether the row entered another window of the flow; if not, it is a late row.",
        ),
        REASON,
    ),
    key="key",
    event_time="ts_event",
    identity=(
        "flow",
        "source_topic",
        "source_partition",
        "source_offset",
        "source_row",
        "source_identity",
        "window",
    ),
    landing=Landing(order_by=("key", "ts_event", "flow"), partition_by=Partition.MONTH),
)

DEAD_LETTER = Topic(
    name="dead_letter",
    version=1,
    kind=Kind.DERIVED,
    meaning="A record or row that was rejected, with the reason and its bytes.",
    fields=(
        replace(
            SOURCE_TOPIC, meaning="Inbox, file or live source that the rejected row came from."
        ),
        replace(TS_EVENT, meaning="When the rejected record was appended to the log."),
        SOURCE_PARTITION,
        SOURCE_OFFSET,
        SOURCE_ROW,
        REASON,
        Field(
            name="payload",
            type=BYTES,
            unit="bytes",
            nullable=True,
            meaning="The record's bytes, or the row's as JSON; null for an empty record, or one of more than 32 MiB.",
        ),
    ),
    key="source_topic",
    event_time="ts_event",
    identity=("source_topic", "source_partition", "source_offset", "source_row", "reason"),
    landing=Landing(order_by=("source_topic", "ts_event"), partition_by=Partition.MONTH),
)

CORRECTIONS_UNAPPLIED = Topic(
    name="corrections_unapplied",
    version=1,
    kind=Kind.DERIVED,
    meaning="A trade correction or cancellation that a flow has not taken into account.",
    fields=(
        SYMBOL,
        replace(TS_EVENT, meaning="Event time of the correction."),
        Field(
            name="flow",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="The flow that has not taken it into account.",
        ),
        SOURCE_PARTITION,
        SOURCE_OFFSET,
        SOURCE_ROW,
        REASON,
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "flow", "source_partition", "source_offset", "source_row"),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.MONTH),
)
