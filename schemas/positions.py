"""Marks, positions, lots and cash: what accounts have, to the cent."""

from dataclasses import replace

from schemas import order_fields as of
from schemas.field import FLOAT, Field
from schemas.market import SYMBOL
from schemas.topic import Kind, Landing, Partition, Topic

_CAUSES = ("execution", "corporate_action", "cash_movement", "mark")


def _market(name: str, meaning: str) -> Field:
    return Field(
        name=name, type=FLOAT, unit="quote currency", nullable=True, above=0, meaning=meaning
    )


MARKS = Topic(
    name="marks",
    version=1,
    kind=Kind.DERIVED,
    meaning="Prices that positions and checks go by: a symbol's newest, not more often than an interval allows.",
    fields=(
        SYMBOL,
        of.MARKET_TIME,
        _market("bid", "Best bid; null where there is none."),
        _market("ask", "Best ask; null where there is none."),
        _market("last", "Price of the last trade; null before the first."),
        _market(
            "price",
            "What positions are valued at: mid of bid and ask where these are not too far apart, else last.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "ts_event"),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.DAY),
    partitions=1,
)

POSITIONS = Topic(
    name="positions",
    version=1,
    kind=Kind.DERIVED,
    meaning="How a position stands after it, or what it is worth, has changed.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.number("sequence", "Of the account's rows here, from 1 on, without a gap."),
        of.STRATEGY,
        of.ORDER_SYMBOL,
        of.quantity("quantity", "What is held; negative where short.", signed=True),
        of.price(
            "average_cost",
            "Cost of one, rounded half-even at ten decimals; null where flat.",
            nullable=True,
            above=False,
        ),
        of.money("cost", "Cost of all open lots, fees of the trades not counted."),
        of.price("mark", "Price that it is valued at.", nullable=True, above=False),
        of.money(
            "value", "Quantity times mark, rounded half-even to the minor unit.", nullable=True
        ),
        of.money("unrealised", "Value less cost.", nullable=True),
        of.money("realised", "Profit of closed lots so far, fees not counted."),
        of.money("dividends", "Dividends so far in this currency; negative where owed."),
        of.money("fees", "Fees so far."),
        of.CURRENCY,
        of.price(
            "fx_rate",
            "What one unit of the currency is in the account's, by marks; null where none tells.",
            nullable=True,
        ),
        of.word("cause", "What changed it.", allowed=_CAUSES),
        of.text("cause_id", "Execution or action that did.", nullable=True),
    ),
    key="account",
    event_time="ts_event",
    identity=("account", "sequence"),
    landing=Landing(order_by=("account", "ts_event", "sequence"), partition_by=Partition.MONTH),
)

LOT_CLOSINGS = Topic(
    name="lot_closings",
    version=1,
    kind=Kind.DERIVED,
    meaning="A lot, or a part of one, that was closed.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.number("sequence", "Of the account's rows here, from 1 on, without a gap."),
        of.STRATEGY,
        of.ORDER_SYMBOL,
        of.text("lot_id", "Execution that opened the lot."),
        of.text("execution_id", "Execution, or corporate action, that closed it."),
        of.word("method", "How the lot was chosen.", allowed=of.LOT_METHODS),
        of.time("ts_opened", "When it was opened."),
        of.quantity("quantity", "How much was closed; negative of a short lot.", signed=True),
        of.money("cost", "What it had cost."),
        of.money("proceeds", "What it brought."),
        of.money("realised", "Proceeds less cost."),
        of.CURRENCY,
    ),
    key="account",
    event_time="ts_event",
    identity=("account", "sequence"),
    landing=Landing(order_by=("account", "ts_event", "sequence"), partition_by=Partition.MONTH),
)

BALANCES = Topic(
    name="balances",
    version=1,
    kind=Kind.DERIVED,
    meaning="How an account's cash in one currency stands after it has changed.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.number("sequence", "Of the account's rows here, from 1 on, without a gap."),
        of.CURRENCY,
        of.money("change", "By how much."),
        of.money("balance", "What there is now."),
        of.word("cause", "What changed it.", allowed=_CAUSES),
        of.text("cause_id", "Execution, movement or action that did."),
    ),
    key="account",
    event_time="ts_event",
    identity=("account", "sequence"),
    landing=Landing(order_by=("account", "ts_event", "sequence"), partition_by=Partition.MONTH),
    synced=True,
)

FAULT_KINDS = (
    "too_large",
    "unknown_lot",
    "lots_joined",
    "incomplete_action",
    "nothing_left",
    "repeated",
    "conflicting",
    "late_action",
)

LEDGER_FAULTS = Topic(
    name="ledger_faults",
    version=1,
    kind=Kind.DERIVED,
    meaning="Something that the ledger could not book as it came, and what it did instead.",
    fields=(
        of.ACCOUNT,
        of.MARKET_TIME,
        of.number("sequence", "Of the account's rows here, from 1 on, without a gap."),
        of.word(
            "kind",
            "What is wrong: too_large, incomplete_action and nothing_left changed nothing; in place of an "
            "unknown_lot the oldest were closed; lots_joined made one of the two oldest lots; a late_action came "
            "after its time and holds for what was held when it came; what was repeated, as it was told before under "
            "its identifier, is booked once, and so is what is conflicting, which said something else then: what came "
            "first stands.",
            allowed=FAULT_KINDS,
        ),
        of.text("cause_id", "Execution, movement or action that it is about."),
        replace(of.ORDER_SYMBOL, nullable=True),
        of.text("reason", "In words, with what was needed and what came."),
    ),
    key="account",
    event_time="ts_event",
    identity=("account", "sequence"),
    landing=Landing(order_by=("account", "ts_event", "sequence"), partition_by=Partition.MONTH),
)
