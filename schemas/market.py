"""Raw market data: level-1 quotes, trade prints and order-level book events."""

from schemas.field import BOOL, CATEGORY, FLOAT, RECEIVE_TIME, TEXT, TIMESTAMP, UINT64, Field
from schemas.topic import Kind, Landing, Partition, Rule, Topic

_NS = "ns since 1970-01-01 UTC"
_DAY_NS = 86_400_000_000_000

SYMBOL = Field(
    name="symbol",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning="Instrument, as the source names it, in upper case.",
)
VENUE = Field(
    name="venue",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning="Exchange, dealer or trade reporting facility that the row speaks of.",
)
TS_EVENT = Field(
    name="ts_event",
    type=TIMESTAMP,
    unit=_NS,
    nullable=False,
    meaning="When it happened at the source.",
)
TS_RECV = Field(
    name=RECEIVE_TIME,
    type=TIMESTAMP,
    unit=_NS,
    nullable=False,
    meaning="When the platform first saw the row.",
)


def _landing() -> Landing:
    return Landing(order_by=("symbol", "ts_event"), partition_by=Partition.DAY)


QUOTES = Topic(
    name="quotes",
    version=1,
    kind=Kind.RAW,
    meaning="A change of the best bid, the best ask or both at one venue.",
    fields=(
        SYMBOL,
        VENUE,
        TS_EVENT,
        TS_RECV,
        Field(
            name="bid",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            above=0,
            meaning="Best bid price; null where the row does not speak of the bid side.",
        ),
        Field(
            name="bid_size",
            type=FLOAT,
            unit="shares, contracts or coins",
            nullable=True,
            minimum=0,
            meaning="Size at the best bid; zero where the venue has no bid any more.",
        ),
        Field(
            name="ask",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            above=0,
            meaning="Best ask price; null where the row does not speak of the ask side.",
        ),
        Field(
            name="ask_size",
            type=FLOAT,
            unit="shares, contracts or coins",
            nullable=True,
            minimum=0,
            meaning="Size at the best ask; zero where the venue has no ask any more.",
        ),
        Field(
            name="condition",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning=(
                "Quote condition as the source codes it; then ;best if the tape names the row the national "
                "best of its side, and ;suspicious if flagged so."
            ),
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=_landing(),
    retention_ns=7 * _DAY_NS,
    inbox=True,
)

TRADES = Topic(
    name="trades",
    version=1,
    kind=Kind.RAW,
    meaning="A trade print, or the correction or cancellation of one.",
    fields=(
        SYMBOL,
        VENUE,
        TS_EVENT,
        TS_RECV,
        Field(
            name="price",
            type=FLOAT,
            unit="quote currency",
            nullable=False,
            above=0,
            meaning="Price of one share, contract or coin.",
        ),
        Field(
            name="size",
            type=FLOAT,
            unit="shares, contracts or coins",
            nullable=False,
            minimum=0,
            meaning="Quantity traded.",
        ),
        Field(
            name="side",
            type=CATEGORY,
            unit="none",
            nullable=True,
            allowed=("buy", "sell"),
            meaning="Side of the aggressor; null where the source does not say.",
        ),
        Field(
            name="conditions",
            type=CATEGORY,
            unit="none",
            nullable=True,
            meaning="Sale conditions as the source codes them; ends in ;suspicious if flagged so.",
        ),
        Field(
            name="updates_high_low",
            type=BOOL,
            unit="none",
            nullable=False,
            default=True,
            meaning="Whether the sale conditions let the trade set a bar's high and low.",
        ),
        Field(
            name="updates_last",
            type=BOOL,
            unit="none",
            nullable=False,
            default=True,
            meaning="Whether the sale conditions let the trade set a bar's open and close.",
        ),
        Field(
            name="updates_volume",
            type=BOOL,
            unit="none",
            nullable=False,
            default=True,
            meaning="Whether the sale conditions let the trade count in a bar's volume.",
        ),
        Field(
            name="trade_id",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="The venue's name of the trade; null where it gives none.",
        ),
        Field(
            name="action",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=("new", "correct", "cancel"),
            default="new",
            meaning="Whether the row is a trade, or corrects or cancels an earlier one.",
        ),
        Field(
            name="ref_trade_id",
            type=TEXT,
            unit="none",
            nullable=True,
            meaning="The trade_id that a correction or cancellation refers to.",
        ),
        Field(
            name="ts_ref",
            type=TIMESTAMP,
            unit=_NS,
            nullable=True,
            meaning="The ts_event of the trade that a correction or cancellation refers to.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=_landing(),
    retention_ns=7 * _DAY_NS,
    rules=(
        Rule(
            field="action",
            values=("correct", "cancel"),
            needs=("ref_trade_id", "ts_ref"),
            any_of=True,
        ),
    ),
    inbox=True,
)

BOOK_EVENTS = Topic(
    name="book_events",
    version=1,
    kind=Kind.RAW,
    meaning="An event of an order or a price level in a venue's book, or a change of trading state.",
    fields=(
        SYMBOL,
        VENUE,
        TS_EVENT,
        TS_RECV,
        Field(
            name="action",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=(
                "add",
                "modify",
                "cancel",
                "execute",
                "fill",
                "hidden_execute",
                "level",
                "clear",
                "halt",
            ),
            meaning=(
                "What happened: modify gives the order's new price and size; cancel and execute "
                "give the size taken away, all or part; fill tells of an execution whose cancel or modify "
                "follows; hidden_execute touches no visible order; level sets all of a price's size, 0 "
                "takes it out; clear empties the book, and a snapshot follows."
            ),
        ),
        Field(
            name="order_id",
            type=UINT64,
            unit="none",
            nullable=True,
            meaning="The venue's name of the order; null where the row speaks of no named order.",
        ),
        Field(
            name="side",
            type=CATEGORY,
            unit="none",
            nullable=True,
            allowed=("buy", "sell"),
            meaning="Side of the resting order or level; null for halts and clears, and where not said.",
        ),
        Field(
            name="price",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            above=0,
            meaning="Limit price of the order or level, or of the execution; null for halts and clears.",
        ),
        Field(
            name="size",
            type=FLOAT,
            unit="shares, contracts or coins",
            nullable=True,
            minimum=0,
            meaning="Quantity added, set, taken away or executed (see action); null for halts, clears.",
        ),
        Field(
            name="state",
            type=CATEGORY,
            unit="none",
            nullable=True,
            allowed=("halted", "quoting", "trading"),
            meaning="For a halt row: the trading state from now on; null otherwise.",
        ),
        Field(
            name="sequence",
            type=UINT64,
            unit="none",
            nullable=True,
            meaning="The venue's number of its message in the symbol's stream; null where it gives none.",
        ),
        Field(
            name="is_last",
            type=BOOL,
            unit="none",
            nullable=False,
            default=True,
            meaning="Whether the venue's event ends with this row, so that the book is whole.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=_landing(),
    retention_ns=7 * _DAY_NS,
    rules=(
        Rule(field="action", values=("halt",), needs=("state",)),
        Rule(
            field="action",
            values=("add", "modify", "cancel", "execute", "level"),
            needs=("side", "price", "size"),
        ),
        Rule(field="action", values=("hidden_execute", "fill"), needs=("price", "size")),
    ),
    inbox=True,
)
