"""Accounts: who they are and what they may do; cash that comes and goes; what companies do to shares."""

from dataclasses import replace

from schemas import order_fields as of
from schemas.field import DECIMAL, INT64, Field
from schemas.topic import Kind, Landing, Partition, Rule, Topic

FIRM = "*"
"""Account of what holds for all accounts: the firm's own limits, its restricted list, its kill switch."""


def _limit(name: str, unit: str, meaning: str) -> Field:
    return Field(
        name=name,
        type=DECIMAL,
        unit=unit,
        nullable=True,
        minimum=0,
        meaning=f"{meaning}; null for no limit.",
    )


ACCOUNTS = Topic(
    name="accounts",
    version=1,
    kind=Kind.RAW,
    meaning=f"What an account may do from here on; a later row replaces an earlier. Account {FIRM} is all of them.",
    fields=(
        of.ACCOUNT,
        replace(of.ENTRY_TIME, meaning="From when on the row holds, by the wall clock."),
        of.RECEIVED,
        of.word("currency", "Currency in which it is kept.", default="USD"),
        of.word("type", "Whether it may owe.", allowed=("cash", "margin"), default="cash"),
        Field(
            name="leverage",
            type=DECIMAL,
            unit="ratio",
            nullable=True,
            minimum=1,
            meaning="Of a margin account: buying power over equity; 2 where null (Regulation T, 12 CFR 220.12).",
        ),
        _limit("max_order_quantity", "shares, contracts or coins", "Largest quantity of one order"),
        _limit("max_order_notional", "the account's currency", "Largest value of one order"),
        _limit(
            "max_position_quantity",
            "shares, contracts or coins",
            "Largest position in one symbol, open orders counted",
        ),
        _limit("max_position_notional", "the account's currency", "The same, by value"),
        _limit(
            "max_gross_notional",
            "the account's currency",
            "Largest sum of all positions' values, open orders counted",
        ),
        _limit(
            "price_collar",
            "ratio",
            "How far beyond the best price of the other side a limit may be, as a share of it",
        ),
        Field(
            name="max_orders_per_second",
            type=INT64,
            unit="1/s",
            nullable=True,
            minimum=1,
            meaning="Commands within any second of entry time; null for no limit.",
        ),
        Field(
            name="duplicate_window_ms",
            type=INT64,
            unit="ms",
            nullable=True,
            minimum=0,
            meaning="An order equal to one of so short before is refused; null for no such check.",
        ),
        of.text("restricted", "Symbols that may not be traded, with commas.", nullable=True),
        of.text(
            "easy_to_borrow",
            "Symbols that are sold short without a locate, with commas.",
            nullable=True,
        ),
        of.flag("self_trade_allowed", "Whether its orders may meet each other.", default=False),
        of.flag("halted", "The kill switch: no new orders.", default=False),
        of.text("user", "Who said so."),
    ),
    key="account",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("account", "ts_event"), partition_by=Partition.YEAR),
    synced=True,
    watermarked=False,
    partitions=1,
)

CASH_MOVEMENTS = Topic(
    name="cash_movements",
    version=1,
    kind=Kind.RAW,
    meaning="Cash that comes into an account or leaves it, but for trading.",
    fields=(
        of.ACCOUNT,
        replace(of.ENTRY_TIME, meaning="When it was booked."),
        of.RECEIVED,
        of.text(
            "movement_id", "Identifier; one that was seen in the account already changes nothing."
        ),
        of.word(
            "kind",
            "What it is.",
            allowed=(
                "deposit",
                "withdrawal",
                "transfer",
                "interest",
                "dividend",
                "fee",
                "tax",
                "adjustment",
            ),
        ),
        of.money("amount", "What comes in; negative goes out."),
        of.CURRENCY,
        of.word("method", "How it was paid (ach, wire, card, …).", nullable=True),
        of.text("counterparty", "Where from or to.", nullable=True),
        of.text("reference", "Words that came with it.", nullable=True),
        of.text("user", "Who booked it.", nullable=True),
    ),
    key="account",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("account", "ts_event"), partition_by=Partition.MONTH),
    synced=True,
    inbox=True,
    watermarked=False,
)

CORPORATE_ACTIONS = Topic(
    name="corporate_actions",
    version=1,
    kind=Kind.RAW,
    meaning="What a company does to its shares, from the first trade of ts_event on.",
    fields=(
        of.ORDER_SYMBOL,
        replace(
            of.ENTRY_TIME,
            meaning="Ex time: positions held before it are changed when market time reaches it.",
        ),
        of.RECEIVED,
        of.text("action_id", "Identifier; one that was seen already changes nothing."),
        of.word(
            "action", "What it is.", allowed=("split", "dividend", "symbol_change", "spin_off")
        ),
        of.quantity("numerator", "Split, spin-off: new shares …", nullable=True, above=True),
        of.quantity("denominator", "… for so many old ones.", nullable=True, above=True),
        of.money("amount", "Dividend: cash a share.", nullable=True),
        of.word("currency", "Of the dividend; null for that of the position.", nullable=True),
        replace(
            of.ORDER_SYMBOL,
            name="new_symbol",
            nullable=True,
            meaning="Symbol change, spin-off: the other symbol.",
        ),
        Field(
            name="cost_share",
            type=DECIMAL,
            unit="ratio",
            nullable=True,
            minimum=0,
            maximum=1,
            meaning="Spin-off: share of the cost that goes to the new symbol.",
        ),
    ),
    key="symbol",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.YEAR),
    synced=True,
    rules=(
        Rule(field="action", values=("split",), needs=("numerator", "denominator")),
        Rule(field="action", values=("dividend",), needs=("amount",)),
        Rule(field="action", values=("symbol_change",), needs=("new_symbol",)),
        Rule(
            field="action",
            values=("spin_off",),
            needs=("numerator", "denominator", "new_symbol", "cost_share"),
        ),
    ),
    inbox=True,
    watermarked=False,
    partitions=1,
)
