"""Bars: open, high, low, close and volume of an interval; their revisions; bars rolled up from bars."""

from dataclasses import replace

from schemas.faults import SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_ROW
from schemas.field import CATEGORY, FLOAT, INT64, TIMESTAMP, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

INTERVAL = Field(
    name="interval",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning="Length of the bar: a number and s, m, h (UTC grid) or 1d (the calendar's session).",
)


def _price(name: str, meaning: str) -> Field:
    return Field(
        name=name, type=FLOAT, unit="quote currency", nullable=True, above=0, meaning=meaning
    )


def _volume(name: str, meaning: str) -> Field:
    return Field(
        name=name,
        type=FLOAT,
        unit="shares, contracts or coins",
        nullable=False,
        minimum=0,
        meaning=meaning,
    )


TS_START = Field(
    name="ts_start",
    type=TIMESTAMP,
    unit="ns since 1970-01-01 UTC",
    nullable=False,
    meaning="Start of the interval, inclusive.",
)

# What a bar holds, in order: what a revision gives twice, as it was and as it is.
VALUES = (
    _price("open", "First price; null where no trade could set one."),
    _price("high", "Highest price; null where no trade could set one."),
    _price("low", "Lowest price; null where no trade could set one."),
    _price("close", "Last price; null where no trade could set one."),
    _volume("volume", "Sum of the sizes that count."),
    Field(
        name="trade_count",
        type=INT64,
        unit="trades",
        nullable=False,
        minimum=0,
        meaning=(
            "Trades in the interval, whatever their conditions; 0 if forward-filled, or if every trade "
            "was cancelled (then all prices are null)."
        ),
    ),
    _price("vwap", "Volume-weighted mean price of the trades that count; null without any."),
    _volume("buy_volume", "The part of volume whose aggressor bought."),
    _volume("sell_volume", "The part of volume whose aggressor sold."),
)


def _old(value: Field) -> Field:
    return replace(value, name=f"old_{value.name}", meaning=f"`{value.name}` before this revision.")


BARS = Topic(
    name="bars",
    version=1,
    kind=Kind.DERIVED,
    meaning="Open, high, low, close and volume of one symbol in one interval.",
    fields=(
        SYMBOL,
        INTERVAL,
        replace(TS_EVENT, meaning="End of the interval, exclusive: from then on the bar is known."),
        TS_START,
        *VALUES,
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event", "interval"), partition_by=Partition.MONTH),
)

BARS_REVISED = Topic(
    name="bars_revised",
    version=1,
    kind=Kind.DERIVED,
    meaning="A bar written already, computed again because a trade of it was corrected or cancelled.",
    fields=(
        SYMBOL,
        INTERVAL,
        replace(
            TS_EVENT, meaning="Event time of the correction: from then on the revision is known."
        ),
        TS_START,
        Field(
            name="ts_end",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=False,
            meaning="End of the interval, exclusive: the `ts_event` of the bar that is revised.",
        ),
        Field(
            name="revision",
            type=INT64,
            unit="none",
            nullable=False,
            minimum=0,
            meaning="Number of the revision of this bar, from 1; the greatest one holds.",
        ),
        *VALUES,
        *(_old(value) for value in VALUES),
        replace(SOURCE_PARTITION, nullable=False, meaning="Log partition of the correction."),
        replace(SOURCE_OFFSET, nullable=False, meaning="Log offset of the correction's record."),
        replace(SOURCE_ROW, nullable=False, meaning="Row of the correction within its record."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_end", "revision"),
    landing=Landing(
        order_by=("symbol", "ts_event", "interval", "ts_end"), partition_by=Partition.MONTH
    ),
)

BARS_ROLLED = replace(
    BARS,
    name="bars_rolled",
    meaning="A bar of a coarser interval, rolled up from the bars of a finer one.",
    fields=tuple(
        replace(
            field,
            meaning=(
                "Length of the bar: a number and s, m, h (UTC grid), or 1w or 1mo (the calendar's sessions "
                "of a week or month)."
            ),
        )
        if field is INTERVAL
        else field
        for field in BARS.fields
    ),
)
