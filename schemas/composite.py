"""Quotes of one instrument from several sources: what they say together, and how each lags."""

from dataclasses import replace

from schemas.bars import INTERVAL
from schemas.field import FLOAT, INT64, Field
from schemas.market import SYMBOL, TS_EVENT, VENUE
from schemas.nbbo import best_price, number_field, venues_field
from schemas.topic import Kind, Landing, Partition, Topic


def _count(name: str, unit: str, meaning: str) -> Field:
    return Field(name=name, type=INT64, unit=unit, nullable=False, minimum=0, meaning=meaning)


def _seconds(name: str, meaning: str) -> Field:
    return Field(name=name, type=FLOAT, unit="s", nullable=True, minimum=0, meaning=meaning)


COMPOSITE_QUOTES = Topic(
    name="composite_quotes",
    version=1,
    kind=Kind.DERIVED,
    meaning="What all fresh sources of an instrument say together, from a change on.",
    fields=(
        SYMBOL,
        replace(TS_EVENT, meaning="From when on it stands; never goes back within a symbol."),
        number_field(
            "Ordinal of the row among the symbol's, from 1: it orders rows of equal time."
        ),
        best_price("bid", "Highest bid of the fresh sources; null where none bids."),
        venues_field("bid_venues", "Sources that bid it, in alphabetical order, commas between."),
        best_price("ask", "Lowest ask of the fresh sources; null where none asks."),
        venues_field("ask_venues", "Sources that ask it, in alphabetical order, commas between."),
        best_price(
            "mid_median", "Median of the mids of fresh two-sided sources; null without any."
        ),
        _count("sources", "sources", "Fresh sources with both sides, whose mids the median is of."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "number"), partition_by=Partition.DAY),
)

SOURCE_LAGS = Topic(
    name="source_lags",
    version=1,
    kind=Kind.DERIVED,
    meaning="How one source of an instrument kept up with the others in one interval.",
    fields=(
        SYMBOL,
        replace(VENUE, meaning="The source."),
        replace(
            INTERVAL, meaning="Length of the interval: a number and s, m or h, on the UTC grid."
        ),
        replace(TS_EVENT, meaning="End of the interval, exclusive."),
        _count("updates", "rows", "Rows of the source in the interval."),
        _seconds("age", "Time from its last row to the end of the interval."),
        _count("moves", "moves", "Changes of its mid in the interval."),
        _count("leads", "moves", "Those that other sources had not made when it made them."),
        _count("follows", "moves", "Those in the direction of another source's move before it."),
        _seconds(
            "lag_mean", "Mean time from the move followed to its own; null where it followed none."
        ),
        _seconds("lag_max", "Longest such time; null where it followed none."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "venue", "interval", "ts_event"),
    landing=Landing(
        order_by=("symbol", "ts_event", "interval", "venue"), partition_by=Partition.MONTH
    ),
)
