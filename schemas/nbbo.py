"""The national best bid and offer: the best prices over all venues, and the venues that make them."""

from dataclasses import replace

from schemas.field import CATEGORY, FLOAT, INT64, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

STATES = ("normal", "locked", "crossed", "one_sided", "empty")


def number_field(meaning: str) -> Field:
    """The ordinal of a derived row among its symbol's rows."""
    return Field(name="number", type=INT64, unit="rows", nullable=False, minimum=0, meaning=meaning)


def best_price(name: str, meaning: str) -> Field:
    """A best price; null where no venue quotes the side."""
    return Field(
        name=name, type=FLOAT, unit="quote currency", nullable=True, above=0, meaning=meaning
    )


def best_size(name: str, meaning: str) -> Field:
    """The size at a best price; null where no venue quotes the side."""
    return Field(
        name=name,
        type=FLOAT,
        unit="shares, contracts or coins",
        nullable=True,
        minimum=0,
        meaning=meaning,
    )


def venues_field(name: str, meaning: str) -> Field:
    """Names of venues in alphabetical order with commas between them."""
    return Field(name=name, type=CATEGORY, unit="none", nullable=True, meaning=meaning)


NBBO = Topic(
    name="nbbo",
    version=1,
    kind=Kind.DERIVED,
    meaning="The best bid and offer over all venues, from a change of price, size or venues on.",
    fields=(
        SYMBOL,
        replace(TS_EVENT, meaning="From when on it stands; never goes back within a symbol."),
        number_field(
            "Ordinal of the row among the symbol's, from 1: it orders rows of equal time."
        ),
        best_price("bid", "Highest bid of the venues that count; null where none bids."),
        best_size("bid_size", "Size at the best bid, by the flow's size policy; null with bid."),
        venues_field(
            "bid_venues", "Venues that bid the best, in alphabetical order, commas between them."
        ),
        best_price("ask", "Lowest ask of the venues that count; null where none asks."),
        best_size("ask_size", "Size at the best ask, by the flow's size policy; null with ask."),
        venues_field(
            "ask_venues", "Venues that ask the best, in alphabetical order, commas between them."
        ),
        Field(
            name="state",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=STATES,
            meaning=(
                "normal (bid below ask), locked (equal), crossed (bid above ask), one_sided or empty."
            ),
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "number"), partition_by=Partition.DAY),
)
