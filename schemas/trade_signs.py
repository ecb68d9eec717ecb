"""Who initiated a trade, what it cost against the best bid and offer, and what became of the price."""

from dataclasses import replace

from schemas.field import CATEGORY, FLOAT, TIMESTAMP, Field
from schemas.market import SYMBOL, TRADES, TS_EVENT
from schemas.nbbo import best_price, number_field
from schemas.topic import Kind, Landing, Partition, Topic

_PRICE = replace(TRADES.field("price"), meaning="Price of the trade.")
_SIZE = replace(TRADES.field("size"), meaning="Quantity of the trade.")

IMPACT_STATUS = ("measured", "no_side", "no_quote_before", "no_quote_after", "queue_full")


def _side(name: str, meaning: str) -> Field:
    return Field(
        name=name,
        type=CATEGORY,
        unit="none",
        nullable=True,
        allowed=("buy", "sell"),
        meaning=meaning,
    )


def _amount(name: str, meaning: str) -> Field:
    return Field(name=name, type=FLOAT, unit="quote currency", nullable=True, meaning=meaning)


TRADE_SIGNS = Topic(
    name="trade_signs",
    version=1,
    kind=Kind.DERIVED,
    meaning="A trade with its initiator's side by Lee and Ready, and its spread against the best quotes.",
    fields=(
        SYMBOL,
        replace(TS_EVENT, meaning="When the trade happened."),
        number_field("Ordinal of the trade among the symbol's, from 1, in order of event time."),
        TRADES.field("venue"),
        TRADES.field("trade_id"),
        _PRICE,
        _SIZE,
        best_price("bid", "Best bid before the trade and the lag; null without."),
        best_price("ask", "Best ask before the trade and the lag; null without."),
        Field(
            name="ts_quote",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=True,
            meaning="Since when these had stood; null where there was none yet.",
        ),
        best_price("mid", "Middle of bid and ask; null where one is missing or they are crossed."),
        _side("side", "Side of the initiator by Lee and Ready; null where no rule says."),
        Field(
            name="rule",
            type=CATEGORY,
            unit="none",
            nullable=True,
            allowed=("quote", "tick"),
            meaning="What side follows from: the mid, or the last different price; null without side.",
        ),
        _side("tick_side", "Side by the tick rule alone; null before the first change of price."),
        _amount("quoted_spread", "ask - bid; null without mid."),
        _amount(
            "effective_spread", "2 D (price - mid), D 1 for buy and -1 for sell; null without."
        ),
        Field(
            name="fault",
            type=CATEGORY,
            unit="none",
            nullable=True,
            allowed=("lag_queue_full",),
            meaning="Why the quotes are not those of the lag: more came within it than are kept.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "number"), partition_by=Partition.DAY),
)

TRADE_IMPACTS = Topic(
    name="trade_impacts",
    version=1,
    kind=Kind.DERIVED,
    meaning="What became of the price after a trade, known a horizon later: realised spread and impact.",
    fields=(
        SYMBOL,
        replace(
            TS_EVENT,
            meaning="End of the horizon, when it is known; with status queue_full the trade's time.",
        ),
        number_field("The trade's number in trade_signs."),
        Field(
            name="ts_trade",
            type=TIMESTAMP,
            unit="ns since 1970-01-01 UTC",
            nullable=False,
            meaning="When the trade happened.",
        ),
        _PRICE,
        _SIZE,
        _side("side", "As in trade_signs."),
        best_price("mid", "As in trade_signs."),
        best_price("mid_after", "The mid at the end of the horizon; null without."),
        _amount("effective_spread", "As in trade_signs; realized_spread + price_impact."),
        _amount("realized_spread", "2 D (price - mid_after), D 1 for buy and -1 for sell."),
        _amount("price_impact", "2 D (mid_after - mid)."),
        Field(
            name="status",
            type=CATEGORY,
            unit="none",
            nullable=False,
            allowed=IMPACT_STATUS,
            meaning=(
                "measured, or why not: the trade has no side, no mid before or after it, or more "
                "trades of the symbol waited than are kept."
            ),
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "number"),
    landing=Landing(order_by=("symbol", "ts_event", "number"), partition_by=Partition.DAY),
)
