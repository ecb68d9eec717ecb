"""Order books as they are built from book events: the best levels, and what was wrong on the way."""

from dataclasses import replace

from schemas.faults import SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_ROW
from schemas.field import CATEGORY, FLOAT, INT64, UINT64, Field
from schemas.market import BOOK_EVENTS, SYMBOL, TS_EVENT, VENUE
from schemas.topic import Kind, Landing, Partition, Topic

LEVELS = 10
"""Levels of a side that a row has; a smaller depth leaves the deeper ones null."""

_PRICE = "quote currency"
_SIZE = "shares, contracts or coins"
_DAY_NS = 86_400_000_000_000


def _level(number: int) -> tuple[Field, ...]:
    where = "Best" if number == 1 else f"Level {number}: next best"
    return tuple(
        field
        for side in ("bid", "ask")
        for field in (
            _number(f"{side}_{number}", _PRICE, f"{where} {side} price; null if there is none."),
            _number(f"{side}_size_{number}", _SIZE, f"Sum of the sizes at {side}_{number}."),
        )
    )


def _number(name: str, unit: str, meaning: str) -> Field:
    return Field(name=name, type=FLOAT, unit=unit, nullable=True, meaning=meaning)


def _ordinal(meaning: str) -> Field:
    return Field(name="number", type=INT64, unit="none", nullable=False, minimum=1, meaning=meaning)


def _category(name: str, allowed: tuple[str, ...], meaning: str, *, nullable: bool) -> Field:
    return Field(
        name=name, type=CATEGORY, unit="none", nullable=nullable, allowed=allowed, meaning=meaning
    )


BOOK_TOP = Topic(
    name="book_top",
    version=1,
    kind=Kind.DERIVED,
    meaning="The best levels of one venue's book after they changed, at the end of a venue's event.",
    fields=(
        SYMBOL,
        VENUE,
        replace(
            TS_EVENT,
            meaning="Event time of the book event that made the change; if conflated, end of the interval.",
        ),
        _ordinal(
            "Number of the row, from 1, in its symbol and venue; gives the order of the rows."
        ),
        _category(
            "state",
            ("halted", "quoting", "trading"),
            "Trading state as last told; null until then.",
            nullable=True,
        ),
        *(field for number in range(1, LEVELS + 1) for field in _level(number)),
        _number("spread", _PRICE, "ask_1 - bid_1; 0 if locked, negative if crossed."),
        _number("mid", _PRICE, "(bid_1 + ask_1) / 2."),
        _number(
            "microprice",
            _PRICE,
            "(bid_1 * ask_size_1 + ask_1 * bid_size_1) / (bid_size_1 + ask_size_1).",
        ),
        _number(
            "imbalance",
            "none",
            "(bid_size_1 - ask_size_1) / (bid_size_1 + ask_size_1); null if the book is empty.",
        ),
        _number(
            "imbalance_depth",
            "none",
            "The same of the sums of the sizes of all levels that the row has.",
        ),
        _number(
            "ofi",
            _SIZE,
            "Order-flow imbalance at the best prices (Cont, Kukanov and Stoikov 2014) since the row before.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "venue", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "venue", "number"), partition_by=Partition.DAY),
    retention_ns=7 * _DAY_NS,
)

FAULT_KINDS = (
    "incomplete",
    "unknown_order",
    "duplicate_order",
    "oversized",
    "other_price",
    "other_side",
    "negative",
    "sequence_gap",
    "sequence_back",
    "locked",
    "crossed",
)
RESOLUTIONS = (
    "ignored",
    "added",
    "replaced",
    "zeroed",
    "own_price_kept",
    "own_side_kept",
    "kept",
)

BOOK_FAULTS = Topic(
    name="book_faults",
    version=1,
    kind=Kind.DERIVED,
    meaning="A book event that does not fit the book it speaks of, and what was done about it.",
    fields=(
        SYMBOL,
        VENUE,
        replace(TS_EVENT, meaning="Event time of the book event."),
        _ordinal("Number of the fault, from 1, in its symbol and venue."),
        _category("kind", FAULT_KINDS, "What is wrong.", nullable=False),
        _category(
            "resolution",
            RESOLUTIONS,
            (
                "What was done: ignored (the book is as before), added or replaced (the order is as the event "
                "says), zeroed (the order is gone), own_price_kept and own_side_kept (taken from the order "
                "where it rests), kept (the book is as the event says)."
            ),
            nullable=False,
        ),
        BOOK_EVENTS.field("action"),
        BOOK_EVENTS.field("order_id"),
        BOOK_EVENTS.field("side"),
        BOOK_EVENTS.field("price"),
        BOOK_EVENTS.field("size"),
        _number(
            "known",
            f"{_PRICE}, or {_SIZE}",
            (
                "What the book knew: the size left (duplicate_order, oversized), the order's price "
                "(other_price, other_side), the best bid (locked, crossed)."
            ),
        ),
        BOOK_EVENTS.field("sequence"),
        Field(
            name="sequence_expected",
            type=UINT64,
            unit="none",
            nullable=True,
            meaning="For sequence_gap and sequence_back: the number that was due.",
        ),
        SOURCE_PARTITION,
        SOURCE_OFFSET,
        SOURCE_ROW,
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "venue", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "venue", "number"), partition_by=Partition.DAY),
)
