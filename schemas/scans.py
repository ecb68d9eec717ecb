"""Scans: symbols that begin or cease to match a saved expression."""

from dataclasses import replace

from schemas.bars import INTERVAL
from schemas.field import CATEGORY, TEXT, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

SCANS = Topic(
    name="scans",
    version=1,
    kind=Kind.DERIVED,
    meaning="A symbol begins or ceases to match a saved expression.",
    fields=(
        SYMBOL,
        Field(
            name="scan",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="Name of the saved expression.",
        ),
        replace(INTERVAL, meaning="Interval of the bars that the expression is asked of."),
        replace(TS_EVENT, meaning="End of the bar after which it holds, or holds no more."),
        Field(
            name="state",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=("entered", "left"),
            meaning="Whether the symbol began to match or ceased to.",
        ),
        Field(
            name="expression",
            type=CATEGORY,
            unit="none",
            nullable=False,
            meaning="The expression as it is saved.",
        ),
        Field(
            name="terms",
            type=TEXT,
            unit="none",
            nullable=False,
            meaning="JSON object: each criterion in the expression, and its value; null if undefined.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "scan", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event", "scan"), partition_by=Partition.MONTH),
)
