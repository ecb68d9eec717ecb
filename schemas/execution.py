"""Execution: where orders were sent and why, what algorithms achieved, and what brokers are told and answer."""

from schemas import order_fields as of
from schemas.field import FLOAT, INT64, Field
from schemas.topic import Kind, Landing, Partition, Topic

ROUTING_DECISIONS = Topic(
    name="routing_decisions",
    version=1,
    kind=Kind.DERIVED,
    meaning="Why a part of an order was sent to a venue: what was known of each venue, and what each would cost.",
    fields=(
        of.ORDER_SYMBOL,
        of.MARKET_TIME,
        of.ACCOUNT,
        of.ORDER_ID,
        of.number("sequence", "Of the order's decisions, from 1 on, without a gap."),
        of.word("venue", "Where it was sent."),
        of.quantity("quantity", "How much."),
        of.price("bid", "Best bid that was known.", nullable=True, above=False),
        of.price("ask", "Best ask that was known.", nullable=True, above=False),
        Field(
            name="expected_cost",
            type=FLOAT,
            unit="quote currency a share",
            nullable=True,
            meaning="Expected price against the mid, fee and delay counted.",
        ),
        of.text("candidates", "All venues with what was known and expected of each, a JSON array."),
        of.text("reason", "In words."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("order_id", "sequence"),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.MONTH),
)


def _basis_points(name: str, meaning: str) -> Field:
    return Field(name=name, type=FLOAT, unit="basis points", nullable=True, meaning=meaning)


def _market(name: str, meaning: str) -> Field:
    return Field(name=name, type=FLOAT, unit="quote currency", nullable=True, meaning=meaning)


ALGORITHM_REPORTS = Topic(
    name="algorithm_reports",
    version=1,
    kind=Kind.DERIVED,
    meaning="What an algorithm has achieved with an order, against the usual benchmarks, when it has ended.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.ORDER_ID,
        of.ORDER_SYMBOL,
        of.SIDE,
        of.word("algorithm", "Which.", allowed=of.ALGORITHMS),
        of.time("ts_begin", "When it began."),
        of.quantity("quantity", "Ordered."),
        of.quantity("filled_quantity", "Filled."),
        Field(
            name="children",
            type=INT64,
            unit="none",
            nullable=False,
            minimum=0,
            meaning="Orders that it sent; 0 where it ended before its first.",
        ),
        of.price("average_price", "Of what was filled.", nullable=True),
        _market("arrival_price", "Mid when it began."),
        _market("vwap", "Volume-weighted price of the market's trades meanwhile."),
        _market("twap", "Time-weighted mid meanwhile."),
        _basis_points("slippage_arrival", "Against arrival; positive is worse."),
        _basis_points("slippage_vwap", "Against that VWAP; positive is worse."),
        _basis_points("slippage_twap", "Against that TWAP; positive is worse."),
        Field(
            name="participation",
            type=FLOAT,
            unit="ratio",
            nullable=True,
            meaning="Filled over the market's volume meanwhile.",
        ),
        of.text(
            "note", "What was guessed because it was not known, and how it ended.", nullable=True
        ),
    ),
    key="account",
    event_time="ts_event",
    identity=("order_id",),
    landing=Landing(order_by=("account", "ts_event"), partition_by=Partition.MONTH),
)

BROKER_ORDERS = Topic(
    name="broker_orders",
    version=1,
    kind=Kind.DERIVED,
    meaning="What an outside broker is to be told: a new order, its replacement or cancellation.",
    fields=(
        of.ORDER_SYMBOL,
        of.MARKET_TIME,
        of.word("venue", "Broker."),
        of.ACCOUNT,
        of.number("sequence", "Of the symbol's rows here, from 1 on, without a gap."),
        of.word("action", "What to do.", allowed=("new", "replace", "cancel")),
        of.text(
            "broker_order_id",
            "Identifier of the order for the broker, unique for ever: the same at every attempt.",
        ),
        of.ORDER_ID,
        of.SIDE,
        of.quantity("quantity", "Total quantity."),
        of.word("order_type", "As ordered.", allowed=of.ORDER_TYPES),
        of.price("limit_price", "Worst price.", nullable=True),
        of.price("stop_price", "Stop.", nullable=True),
        of.word("time_in_force", "As ordered.", allowed=of.TIMES_IN_FORCE),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "sequence"),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
)

BROKER_REPORTS = Topic(
    name="broker_reports",
    version=1,
    kind=Kind.RAW,
    meaning="What an outside broker says of an order.",
    fields=(
        of.ORDER_SYMBOL,
        of.ENTRY_TIME,
        of.RECEIVED,
        of.word("venue", "Broker."),
        of.text("broker_order_id", "Identifier of the order that it was told."),
        of.text(
            "report_id",
            "The broker's identifier of the report; one that was seen already changes nothing.",
        ),
        of.word(
            "report",
            "What happened.",
            allowed=(
                "accepted",
                "filled",
                "replaced",
                "replace_rejected",
                "cancelled",
                "cancel_rejected",
                "expired",
                "fill_busted",
                "fill_corrected",
                "rejected",
            ),
        ),
        of.quantity(
            "quantity", "Filled now; of a bust or correction, as told.", nullable=True, above=True
        ),
        of.price("price", "Of this fill.", nullable=True, above=False),
        of.money("fees", "Of this fill.", nullable=True),
        of.text("reason", "In the broker's words.", nullable=True),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
    watermarked=False,
)
