"""Bars: open, high, low, close and volume of an interval."""

from dataclasses import replace

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


BARS = Topic(
    name="bars",
    version=1,
    kind=Kind.DERIVED,
    meaning="Open, high, low, close and volume of one symbol in one interval.",
    fields=(
        SYMBOL,
        INTERVAL,
        replace(TS_EVENT, meaning="End of the interval, exclusive: from then on the bar is known."),
        Field(
            name="ts_start",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=False,
            meaning="Start of the interval, inclusive.",
        ),
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
            meaning="Trades in the interval, whatever their conditions; 0 if forward-filled.",
        ),
        _price("vwap", "Volume-weighted mean price of the trades that count; null without any."),
        _volume("buy_volume", "The part of volume whose aggressor bought."),
        _volume("sell_volume", "The part of volume whose aggressor sold."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event", "interval"), partition_by=Partition.MONTH),
)
