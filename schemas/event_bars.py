"""Event bars: bars that end when enough has been traded, not when time has passed."""

from dataclasses import replace

from schemas.bars import VALUES
from schemas.field import BOOL, CATEGORY, FLOAT, INT64, TIMESTAMP, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

_NS = "ns since 1970-01-01 UTC"

BAR = Field(
    name="bar",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning=(
        "What a bar is full of: tick_100, volume_10000, dollar_1000000, or tick_imbalance_100 and so on, where "
        "the number is of the ticks expected at first."
    ),
)


def _time(name: str, meaning: str) -> Field:
    return Field(name=name, type=TIMESTAMP, unit=_NS, nullable=False, meaning=meaning)


def _quantity(name: str, meaning: str, *, nullable: bool = False) -> Field:
    return Field(
        name=name,
        type=FLOAT,
        unit="ticks, volume or turnover, by bar",
        nullable=nullable,
        meaning=meaning,
    )


EVENT_BARS = Topic(
    name="event_bars",
    version=1,
    kind=Kind.DERIVED,
    meaning="A bar of one symbol that ended when so many ticks, so much volume or turnover, or more of it on "
    "one side than expected had been traded.",
    fields=(
        SYMBOL,
        BAR,
        Field(
            name="number",
            type=INT64,
            unit="bars",
            nullable=False,
            minimum=0,
            meaning="Ordinal of the bar among those of its symbol and label, from 1.",
        ),
        replace(
            TS_EVENT,
            meaning="When it was known: the symbol's newest time at its last trade; where the session cut it, "
            "the session's end.",
        ),
        _time("ts_start", "Event time of its first trade."),
        _time("ts_end", "Event time of its last trade."),
        *VALUES[:5],
        replace(VALUES[5], meaning="Trades in the bar, whatever their conditions."),
        VALUES[6],
        replace(VALUES[7], meaning="The part of volume whose sign is a buy."),
        replace(VALUES[8], meaning="The part of volume whose sign is a sell."),
        Field(
            name="turnover",
            type=FLOAT,
            unit="quote currency",
            nullable=False,
            minimum=0,
            meaning="Sum of price times size of the trades that count in volume.",
        ),
        _quantity("imbalance", "Sum of the bar's quantity with the trades' signs."),
        _quantity(
            "threshold",
            "What its quantity, or the size of its imbalance, had to reach; null for the first imbalance bar.",
            nullable=True,
        ),
        Field(
            name="is_complete",
            type=BOOL,
            unit="none",
            nullable=False,
            meaning="Whether it reached its threshold; false where the session's end cut it.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "bar", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "bar"), partition_by=Partition.MONTH),
)
