"""Bars that a vendor has made: daily history and minute bars from files, beside those that we compute."""

from dataclasses import replace

from schemas.bars import INTERVAL
from schemas.field import CATEGORY, FLOAT, TIMESTAMP, Field
from schemas.market import SYMBOL, TS_EVENT, TS_RECV, VENUE
from schemas.topic import Kind, Landing, Partition, Topic


def _price(name: str, meaning: str) -> Field:
    return Field(
        name=name, type=FLOAT, unit="quote currency", nullable=False, above=0, meaning=meaning
    )


VENDOR_BARS = Topic(
    name="vendor_bars",
    version=1,
    kind=Kind.RAW,
    meaning="Open, high, low and close of one symbol in one interval, as a vendor gives them.",
    fields=(
        SYMBOL,
        replace(
            VENUE,
            nullable=True,
            meaning="Exchange or dealer of the prices; null where consolidated or not said.",
        ),
        replace(
            INTERVAL,
            meaning="Length of the bar: a number and s, m, h or d; 1d is a calendar day in the "
            "market's time zone.",
        ),
        Field(
            name="price_type",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=("trade", "bid", "ask", "mid"),
            meaning="Which price the bar is of.",
        ),
        replace(TS_EVENT, meaning="End of the interval, exclusive: from then on the bar is known."),
        Field(
            name="ts_start",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=False,
            meaning="Start of the interval, inclusive.",
        ),
        TS_RECV,
        _price("open", "First price."),
        _price("high", "Highest price."),
        _price("low", "Lowest price."),
        _price("close", "Last price."),
        Field(
            name="close_size",
            type=FLOAT,
            unit="shares, contracts or coins",
            nullable=True,
            minimum=0,
            meaning="Of bid and ask bars: size at the last price; null where the vendor does not say.",
        ),
        Field(
            name="volume",
            type=FLOAT,
            unit="shares, contracts or coins; quote currency where the vendor counts in it",
            nullable=True,
            minimum=0,
            meaning="Quantity traded, as the vendor counts it; null where it does not say.",
        ),
        Field(
            name="adjusted_close",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            above=0,
            meaning="Close adjusted by the vendor for later splits and dividends; null where not said.",
        ),
        Field(
            name="dividend",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            minimum=0,
            meaning="Cash dividend a share whose ex-date the bar is, 0 if none; null where not said.",
        ),
        Field(
            name="split_factor",
            type=FLOAT,
            unit="new shares for an old one",
            nullable=True,
            above=0,
            meaning="Split that takes effect with the bar, 1 if none; null where not said.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=Landing(
        order_by=("symbol", "ts_event", "interval", "price_type"), partition_by=Partition.YEAR
    ),
    inbox=True,
    watermarked=False,
)
