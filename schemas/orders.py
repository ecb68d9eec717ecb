"""Orders: what clients ask for, and what became of it."""

from dataclasses import replace

from schemas import order_fields as of
from schemas.topic import Kind, Landing, Partition, Rule, Topic

ORDERS = Topic(
    name="orders",
    version=1,
    kind=Kind.RAW,
    meaning="A command of a client: a new order, the replacement or the cancellation of one.",
    fields=(
        of.ACCOUNT,
        of.ENTRY_TIME,
        of.RECEIVED,
        of.word(
            "command",
            "What is asked; cancel_all cancels the account's open orders (of the symbol, if given). What a replacement leaves null stays as it is.",
            allowed=("new", "replace", "cancel", "cancel_all"),
        ),
        replace(
            of.ORDER_ID,
            meaning="Which order; empty where the client's identifier says it. A new order's is what schemas.order_ids gives.",
        ),
        replace(of.CLIENT_ORDER_ID, meaning="Identifier of that order, given by its client."),
        replace(of.ORDER_SYMBOL, nullable=True, meaning="Instrument; of a new order."),
        replace(
            of.SIDE, nullable=True, meaning="Of a new order: buy, sell, or sell what is borrowed."
        ),
        of.quantity(
            "quantity", "How much; of a replacement the new total.", nullable=True, above=True
        ),
        of.word("order_type", "Of a new order.", allowed=of.ORDER_TYPES, nullable=True),
        of.price("limit_price", "Worst price that is accepted.", nullable=True),
        of.price("stop_price", "Price at which a stop order becomes active.", nullable=True),
        of.price("trail_amount", "How far a trailing stop trails the best price.", nullable=True),
        of.price("trail_percent", "The same, in percent of the best price.", nullable=True),
        of.word(
            "peg",
            "What a pegged order follows: its own side's best price, the other side's, or their mid.",
            allowed=("primary", "market", "mid"),
            nullable=True,
        ),
        of.price(
            "peg_offset",
            "Added to what is followed; towards the market if positive.",
            nullable=True,
            above=False,
        ),
        of.quantity(
            "display_quantity",
            "How much of an iceberg is shown at a time.",
            nullable=True,
            above=True,
        ),
        of.word("time_in_force", "How long it stands.", allowed=of.TIMES_IN_FORCE, nullable=True),
        of.time("ts_expire", "When a GTD order expires, in market time.", nullable=True),
        of.word(
            "order_class",
            "A bracket has an exit on both sides of its price once it is filled; of an OCO's two orders one cancels the other.",
            allowed=("simple", "bracket", "oco"),
            default="simple",
        ),
        of.price(
            "take_profit_price", "Limit of the exit with a profit (bracket, OCO).", nullable=True
        ),
        of.price("stop_loss_price", "Stop of the exit with a loss (bracket, OCO).", nullable=True),
        of.price(
            "stop_loss_limit_price", "Limit of that exit; a market order where null.", nullable=True
        ),
        of.word(
            "algorithm",
            "Algorithm that works the order; null for none.",
            allowed=of.ALGORITHMS,
            nullable=True,
        ),
        of.text("algorithm_params", "Its parameters, a JSON object.", nullable=True),
        of.word("venue", "Where to send it; null lets the router choose.", nullable=True),
        of.STRATEGY,
        of.text("locate_id", "Locate of the shares that a short sale borrows.", nullable=True),
        of.word("lot_method", "Which lots a sale closes.", allowed=of.LOT_METHODS, nullable=True),
        of.text(
            "lots", "With method specific: identifiers of the lots, with commas.", nullable=True
        ),
        of.text("user", "Who gave it."),
        of.CORRELATION_ID,
    ),
    key="account",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("account", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
    rules=(
        Rule(
            field="command",
            values=("new",),
            needs=("symbol", "side", "quantity", "order_type", "time_in_force"),
        ),
        Rule(field="order_type", values=("limit", "stop_limit"), needs=("limit_price",)),
        Rule(field="order_type", values=("stop", "stop_limit"), needs=("stop_price",)),
        Rule(
            field="order_type",
            values=("trailing_stop",),
            needs=("trail_amount", "trail_percent"),
            any_of=True,
        ),
        Rule(field="order_type", values=("pegged",), needs=("peg",)),
        Rule(field="time_in_force", values=("gtd",), needs=("ts_expire",)),
        Rule(
            field="order_class",
            values=("bracket", "oco"),
            needs=("take_profit_price", "stop_loss_price"),
        ),
    ),
    inbox=True,
    watermarked=False,
)

# Null where a command or a report names an order that there is not.
_STANDING = (
    replace(of.ORDER_SYMBOL, nullable=True),
    replace(of.SIDE, nullable=True),
    of.word("order_type", "As ordered.", allowed=of.ORDER_TYPES, nullable=True),
    of.word("time_in_force", "As ordered.", allowed=of.TIMES_IN_FORCE, nullable=True),
    of.quantity("quantity", "Total quantity now.", nullable=True),
    of.price("limit_price", "Worst price now.", nullable=True),
    of.price("stop_price", "Stop now.", nullable=True),
)

_REASON = "Why, of what did not go as asked; of replaced, whether the place in the queue is kept."

ORDER_EVENTS = Topic(
    name="order_events",
    version=1,
    kind=Kind.DERIVED,
    meaning="A step in the life of an order, with how the order stands after it.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.number("sequence", "Of the account's events, from 1 on, without a gap."),
        of.ORDER_ID,
        replace(of.CLIENT_ORDER_ID, nullable=True),
        of.PARENT_ORDER_ID,
        of.word(
            "event",
            "What happened; report_rejected: the execution told what does not fit the order, such as more than was open.",
            allowed=(
                "accepted",
                "rejected",
                "routed",
                "triggered",
                "partially_filled",
                "filled",
                "replaced",
                "replace_rejected",
                "cancelled",
                "cancel_rejected",
                "expired",
                "report_rejected",
            ),
        ),
        of.word(
            "status",
            "How the order stands now; unknown where there is no such order.",
            allowed=(
                "accepted",
                "working",
                "partially_filled",
                "filled",
                "cancelled",
                "expired",
                "rejected",
                "unknown",
            ),
        ),
        *_STANDING,
        of.quantity("filled_quantity", "Filled so far."),
        of.quantity("remaining_quantity", "Open still; zero once the order has ended."),
        of.price(
            "average_price", "Of what is filled, rounded half-even at ten decimals.", nullable=True
        ),
        of.text("execution_id", "Execution that caused it.", nullable=True),
        of.STRATEGY,
        of.word("venue", "Where it works; null before it is routed.", nullable=True),
        of.text("reason", _REASON, nullable=True),
        of.word("check", "Pre-trade check that refused it.", nullable=True),
        of.text("check_limit", "That check's limit.", nullable=True),
        of.text("check_value", "The value that broke it.", nullable=True),
        of.text("user", "Who ordered it.", nullable=True),
        of.CORRELATION_ID,
    ),
    key="account",
    event_time="ts_event",
    identity=("account", "sequence"),
    landing=Landing(order_by=("account", "ts_event", "sequence"), partition_by=Partition.MONTH),
    synced=True,
)

EXECUTIONS = Topic(
    name="executions",
    version=1,
    kind=Kind.DERIVED,
    meaning="A fill of an order, whole or in part.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.text(
            "execution_id",
            "Identifier of the fill, unique for ever: order, number of the instruction that began it, number of the fill; "
            "of a fill that a broker tells after the order's end the broker's identifiers of both.",
        ),
        of.ORDER_ID,
        of.CLIENT_ORDER_ID,
        of.PARENT_ORDER_ID,
        of.ORDER_SYMBOL,
        of.SIDE,
        of.quantity("quantity", "Filled now.", above=True),
        of.price(
            "price", "Price of one share, contract or coin, on the instrument's tick.", above=False
        ),
        of.CURRENCY,
        of.money(
            "fees",
            "Fees of broker and venue, rounded half-even to the minor unit; a rebate is negative.",
        ),
        of.word(
            "liquidity",
            "Whether the order stood or took, or was in an auction.",
            allowed=("added", "removed", "auction"),
        ),
        of.word("venue", "Where it was filled."),
        of.STRATEGY,
        of.word("lot_method", "Which lots a sale closes.", allowed=of.LOT_METHODS, nullable=True),
        of.text(
            "lots", "With method specific: identifiers of the lots, with commas.", nullable=True
        ),
        of.price("bid", "Best bid that was known.", nullable=True, above=False),
        of.price("ask", "Best ask that was known.", nullable=True, above=False),
        of.CORRELATION_ID,
    ),
    key="account",
    event_time="ts_event",
    identity=("execution_id",),
    landing=Landing(order_by=("account", "ts_event", "execution_id"), partition_by=Partition.MONTH),
    synced=True,
)

INSTRUCTIONS = Topic(
    name="instructions",
    version=1,
    kind=Kind.DERIVED,
    meaning="What the order system asks the execution of a symbol to do with an order that passed all checks.",
    fields=(
        of.ORDER_SYMBOL,
        of.MARKET_TIME,
        of.ACCOUNT,
        of.number("sequence", "Of the account's instructions, from 1 on, without a gap."),
        of.word(
            "action",
            "What to do; a replacement has all terms as they are to be.",
            allowed=("new", "replace", "cancel"),
        ),
        of.ORDER_ID,
        of.CLIENT_ORDER_ID,
        of.PARENT_ORDER_ID,
        of.SIDE,
        of.quantity("quantity", "Total quantity; of an exit what the two may fill together."),
        *(
            field
            for field in ORDERS.fields
            if field.name
            in (
                "limit_price",
                "stop_price",
                "trail_amount",
                "trail_percent",
                "peg",
                "peg_offset",
                "display_quantity",
                "ts_expire",
                "algorithm",
                "algorithm_params",
                "venue",
                "lot_method",
                "lots",
            )
        ),
        of.word("order_type", "As ordered.", allowed=of.ORDER_TYPES),
        of.word("time_in_force", "As ordered.", allowed=of.TIMES_IN_FORCE),
        of.CURRENCY,
        of.STRATEGY,
        of.time("ts_entry", "When the door took the order, by the wall clock."),
        of.CORRELATION_ID,
    ),
    key="symbol",
    event_time="ts_event",
    identity=("account", "sequence"),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
)

ORDER_REPORTS = Topic(
    name="order_reports",
    version=1,
    kind=Kind.DERIVED,
    meaning="What the execution of a symbol tells the order system of an order, besides its fills.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.ORDER_SYMBOL,
        of.ORDER_ID,
        of.number("sequence", "Of the order's reports, from 1 on, without a gap."),
        of.word(
            "report",
            "What happened.",
            allowed=(
                "routed",
                "triggered",
                "replaced",
                "replace_rejected",
                "cancelled",
                "cancel_rejected",
                "expired",
                "rejected",
            ),
        ),
        of.quantity("quantity", "Total quantity now; of an exit what the two may fill together."),
        of.quantity(
            "filled_quantity",
            "Filled until then: an order ends when the order system has read so many fills.",
        ),
        of.price("limit_price", "Worst price now.", nullable=True),
        of.price("stop_price", "Stop now.", nullable=True),
        of.word("venue", "Where it works.", nullable=True),
        of.text("reason", _REASON, nullable=True),
    ),
    key="account",
    event_time="ts_event",
    identity=("order_id", "sequence"),
    landing=Landing(order_by=("account", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
)
