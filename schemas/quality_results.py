"""What the checks of data quality found: a row a check, day and, where it is judged by symbol, symbol."""

from dataclasses import replace

from schemas.faults import SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_ROW, SOURCE_TOPIC
from schemas.field import CATEGORY, FLOAT, INT64, TEXT, TIMESTAMP, Field
from schemas.market import TS_EVENT
from schemas.quality import CheckKind
from schemas.topic import Kind, Landing, Partition, Topic

STATUSES = ("passed", "failed", "not_judged")
TARGETS = ("clickhouse", "lake")


def _text(name: str, meaning: str, *, nullable: bool = False) -> Field:
    return Field(name=name, type=TEXT, unit="none", nullable=nullable, meaning=meaning)


def _number(name: str, meaning: str) -> Field:
    return Field(name=name, type=FLOAT, unit="see meaning", nullable=True, meaning=meaning)


def _count(name: str, meaning: str) -> Field:
    return Field(name=name, type=INT64, unit="rows", nullable=False, minimum=0, meaning=meaning)


QUALITY_RESULTS = Topic(
    name="quality_results",
    version=1,
    kind=Kind.DERIVED,
    meaning="What one check of data quality found in the landed rows of a topic of one UTC day.",
    fields=(
        replace(SOURCE_TOPIC, meaning="Topic whose rows were checked."),
        replace(TS_EVENT, meaning="Begin of the UTC day whose rows were checked."),
        Field(
            name="target",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=TARGETS,
            meaning="Where the rows were read.",
        ),
        Field(
            name="expectation",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Name of the check, as schemas/quality.py declares it.",
        ),
        Field(
            name="kind",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=tuple(CheckKind),
            meaning="What the check is about.",
        ),
        Field(
            name="symbol",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning="Instrument that it is about; null for a check of all rows.",
        ),
        Field(
            name="status",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=STATUSES,
            meaning="Whether what was expected was found; not_judged where there was too little to tell.",
        ),
        _count("rows", "Rows that were checked."),
        _count("unexpected", "Rows, or gaps between rows, that are not as expected."),
        _number(
            "observed",
            "What was compared with the limits: count of rows, longest time (s), share, sigmas or ratio.",
        ),
        _number("limit_low", "The least that is expected of it."),
        _number("limit_high", "The most that is expected of it."),
        Field(
            name="ts_first",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=True,
            meaning="Event time of the first unexpected row, or begin of the first unexpected gap.",
        ),
        replace(SOURCE_PARTITION, meaning="Log partition of the first unexpected row."),
        replace(SOURCE_OFFSET, meaning="Its offset."),
        replace(SOURCE_ROW, meaning="Its row in the record."),
        _text("meaning", "What is expected, in words."),
        _text("parameters", "JSON object: what the check was declared with."),
        _text(
            "position",
            "The rows that were checked, by partition and largest offset, such as 0:17,1:9; what else it rests on.",
        ),
        _text("note", "Why it was not judged.", nullable=True),
    ),
    key="source_topic",
    event_time="ts_event",
    # The data, by its place in the log, and the check with its parameters: no clock.
    identity=(
        "source_topic",
        "ts_event",
        "target",
        "expectation",
        "symbol",
        "parameters",
        "position",
    ),
    landing=Landing(
        order_by=("source_topic", "ts_event", "expectation", "target"), partition_by=Partition.MONTH
    ),
)
