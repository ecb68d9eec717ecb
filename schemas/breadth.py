"""Breadth: how many symbols of a universe rise and fall; levels of indices."""

from dataclasses import replace

from schemas.bars import INTERVAL
from schemas.field import BOOL, CATEGORY, FLOAT, INT32, INT64, Field
from schemas.market import SYMBOL, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic

UNIVERSE = Field(
    name="universe",
    type=CATEGORY,
    unit="none",
    nullable=False,
    meaning="ALL, a sector of `instruments`, or a list of symbols that the parameters name.",
)


def _landing(key: str) -> Landing:
    return Landing(order_by=(key, "ts_event", "interval"), partition_by=Partition.MONTH)


def _count(name: str, meaning: str) -> Field:
    return Field(name=name, type=INT64, unit="symbols", nullable=False, minimum=0, meaning=meaning)


def _volume(name: str, meaning: str) -> Field:
    return Field(
        name=name,
        type=FLOAT,
        unit="shares, contracts or coins",
        nullable=False,
        minimum=0,
        meaning=meaning,
    )


BREADTH_PARTS = Topic(
    name="breadth_parts",
    version=1,
    kind=Kind.DERIVED,
    meaning="What one symbol's bar says to one universe, or that the symbol has passed an interval.",
    fields=(
        UNIVERSE,
        replace(INTERVAL, meaning="Interval of the bar."),
        replace(TS_EVENT, meaning="End of the interval."),
        SYMBOL,
        Field(
            name="has_bar",
            type=BOOL,
            unit="none",
            nullable=False,
            meaning="False where the symbol has passed the interval and had no bar in it.",
        ),
        Field(
            name="direction",
            type=INT32,
            unit="none",
            nullable=True,
            meaning="Sign of close less the previous session's close; null while there is none.",
        ),
        Field(
            name="is_new_high",
            type=BOOL,
            unit="none",
            nullable=False,
            meaning="Whether the high is above all highs of the sessions looked back on.",
        ),
        Field(
            name="is_new_low",
            type=BOOL,
            unit="none",
            nullable=False,
            meaning="Whether the low is below all lows of the sessions looked back on.",
        ),
        Field(
            name="close",
            type=FLOAT,
            unit="quote currency",
            nullable=True,
            above=0,
            meaning="Close of the bar; null without a bar or where no trade could set one.",
        ),
        _volume("volume", "Volume of the bar; 0 without a bar."),
    ),
    key="universe",
    event_time="ts_event",
    identity=("universe", "interval", "ts_event", "symbol"),
    landing=Landing(
        order_by=("universe", "ts_event", "interval", "symbol"), partition_by=Partition.MONTH
    ),
)

BREADTH = Topic(
    name="breadth",
    version=1,
    kind=Kind.DERIVED,
    meaning="How the symbols of a universe did in an interval; the highest revision holds.",
    fields=(
        UNIVERSE,
        replace(INTERVAL, meaning="Interval of the bars that are counted."),
        replace(TS_EVENT, meaning="End of the interval."),
        Field(
            name="revision",
            type=INT64,
            unit="none",
            nullable=False,
            minimum=0,
            meaning="0 for the first row of the interval, 1 more for each bar that came behind it.",
        ),
        _count("members", "Symbols with a bar in the interval."),
        _count("advances", "Symbols that closed above their previous session's close."),
        _count("declines", "Symbols that closed below it."),
        _count("unchanged", "Symbols that closed at it."),
        Field(
            name="net_advances",
            type=INT64,
            unit="symbols",
            nullable=False,
            meaning="Advances less declines.",
        ),
        _count("new_highs", "Symbols with a new high over the sessions looked back on."),
        _count("new_lows", "Symbols with a new low over the sessions looked back on."),
        _volume("up_volume", "Volume in the interval of symbols that advanced."),
        _volume("down_volume", "Volume in the interval of symbols that declined."),
        _volume("volume", "Volume in the interval of all symbols."),
        Field(
            name="trin",
            type=FLOAT,
            unit="none",
            nullable=True,
            minimum=0,
            meaning="Arms index: (advances / declines) / (up_volume / down_volume); null if undefined.",
        ),
    ),
    key="universe",
    event_time="ts_event",
    identity=("universe", "interval", "ts_event", "revision"),
    landing=_landing("universe"),
)

INDEX_LEVELS = Topic(
    name="index_levels",
    version=1,
    kind=Kind.DERIVED,
    meaning="The level of an index: weighted sum of its members' prices over a divisor.",
    fields=(
        replace(SYMBOL, meaning="Name of the index in the parameters."),
        replace(INTERVAL, meaning="Interval of the bars whose closes are used."),
        replace(TS_EVENT, meaning="End of the interval."),
        Field(
            name="level",
            type=FLOAT,
            unit="index points",
            nullable=False,
            meaning="Sum over the members of weight times close, divided by the divisor.",
        ),
        Field(
            name="divisor",
            type=FLOAT,
            unit="quote currency per index point",
            nullable=False,
            above=0,
            meaning="As given, or as it makes the level the base level at the base time.",
        ),
        _count(
            "members", "Members with a close in the interval; the others count with their last one."
        ),
        _count("stale", "Members that had not passed the interval when it had waited long enough."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "interval", "ts_event"),
    landing=_landing("symbol"),
)
