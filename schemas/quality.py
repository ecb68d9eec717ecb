"""What landed rows must be: the checks of each topic, derived from its fields and rules, and rules of the market.

The fields' nullability, bounds and allowed values and the topic's `Rule`s are what the in-stream validation
(`schemas.validation`) rejects rows by; here they are asked again of what landed, which may have come another
way. What no single row shows (gaps, stale quotes, jumps, volume) is declared in `MARKET_RULES`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from schemas.book import BOOK_TOP
from schemas.composite import COMPOSITE_QUOTES
from schemas.field import CATEGORY, FLOAT, TEXT, Field
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from schemas.nbbo import NBBO
from schemas.topic import Kind, Rule, Topic
from schemas.validation import MAX_SKEW_NS


class CheckKind(StrEnum):
    """What a check is about."""

    COMPLETENESS = "completeness"
    RANGE = "range"
    VALUES = "values"
    RULE = "rule"
    SKEW = "skew"
    UNIQUENESS = "uniqueness"
    GAP = "gap"
    CROSSED = "crossed"
    STALE = "stale"
    JUMP = "jump"
    VOLUME = "volume"


PER_SYMBOL = (CheckKind.GAP, CheckKind.CROSSED, CheckKind.STALE, CheckKind.JUMP, CheckKind.VOLUME)
"""Kinds that are judged for each symbol and day; the others for each day."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that a topic's rows of a day must be.

    Parameters
    ----------
    name : str
        Stable, unique in its topic, such as ``price above 0``.
    kind : CheckKind
        What it is about.
    fields : tuple of str
        Fields that it reads.
    meaning : str
        What is expected, in words.
    parameters : dict
        What it was declared with; JSON values.
    limit_low, limit_high : float
        Bounds, inclusive, of what is observed: a count of unexpected rows for checks of rows.
    """

    name: str
    kind: CheckKind
    fields: tuple[str, ...]
    meaning: str
    parameters: dict[str, Any] = field(default_factory=dict)
    limit_low: float = 0.0
    limit_high: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Gap:
    """No symbol is silent for longer than ``seconds`` while its exchange is open.

    The opening and the close bound the first and the last gap. Symbols with fewer than ``rows_min`` rows in the
    open time of the day are not judged: they are quiet by nature.
    """

    seconds: float
    rows_min: int

    def check(self) -> Check:
        """The check."""
        return Check(
            name=f"gap of {self.seconds:g} s",
            kind=CheckKind.GAP,
            fields=(),
            meaning=f"while the exchange is open, a row comes at least every {self.seconds:g} s",
            parameters={"seconds": self.seconds, "rows_min": self.rows_min},
            limit_high=self.seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """At most the share ``share_max`` of a symbol's quotes of a day has a bid above its ask.

    Quotes with both sides count, and neither size zero where the topic has sizes. With ``by_venue`` a null says
    nothing of its side, and the quote is what the venue's rows say together at the end of each of their times:
    one change may come as a row a side.
    """

    bid: str
    ask: str
    sizes: tuple[str, ...] = ()
    share_max: float = 0.0
    by_venue: bool = False

    def check(self) -> Check:
        """The check."""
        return Check(
            name="crossed",
            kind=CheckKind.CROSSED,
            fields=(self.bid, self.ask, *self.sizes),
            meaning=f"{self.bid} is above {self.ask} in at most {self.share_max:.2%} of the quotes",
            parameters={
                "bid": self.bid,
                "ask": self.ask,
                "sizes": list(self.sizes),
                "share_max": self.share_max,
                "by_venue": self.by_venue,
            },
            limit_high=self.share_max,
        )


@dataclass(frozen=True, kw_only=True)
class Stale:
    """The quotes of a symbol do not stand still for longer than ``seconds`` while its exchange is open.

    A change is a row in which one of ``values`` differs from what the venue had said of it before; rows that say
    the same again are none. Symbols with fewer than ``rows_min`` rows in the open time of the day are not judged.
    """

    values: tuple[str, ...]
    seconds: float
    rows_min: int

    def check(self) -> Check:
        """The check."""
        return Check(
            name=f"stale for {self.seconds:g} s",
            kind=CheckKind.STALE,
            fields=self.values,
            meaning=(
                f"while the exchange is open, one of {', '.join(self.values)} changes at least every "
                f"{self.seconds:g} s"
            ),
            parameters={
                "values": list(self.values),
                "seconds": self.seconds,
                "rows_min": self.rows_min,
            },
            limit_high=self.seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Jump:
    """No price differs from the one before by more than ``sigmas`` standard deviations.

    The log return from one trade to the next, in the open time, against the standard deviation of the day's
    log returns over one minute (last prices of minutes that have trades). Trades of a minute lie closer than
    its return, so that an honest one rarely reaches a few of these. Days of fewer than ``minutes_min`` such returns
    are not judged.
    """

    price: str
    where: str
    sigmas: float
    minutes_min: int

    def check(self) -> Check:
        """The check."""
        return Check(
            name=f"jump of {self.sigmas:g} sigma",
            kind=CheckKind.JUMP,
            fields=(self.price,),
            meaning=(
                f"no {self.price} differs from the one before by more than {self.sigmas:g} standard deviations "
                "of a minute's return"
            ),
            parameters={
                "price": self.price,
                "where": self.where,
                "sigmas": self.sigmas,
                "minutes_min": self.minutes_min,
            },
            limit_high=self.sigmas,
        )


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A symbol's volume of a day lies between ``ratio_min`` and ``ratio_max`` times its norm.

    The norm is the mean of its newest ``days`` days with rows before it (within twice as many calendar
    days); with fewer than ``days_min`` of them there is none, and the day is not judged.
    """

    size: str
    where: str
    days: int
    days_min: int
    ratio_min: float
    ratio_max: float

    def check(self) -> Check:
        """The check."""
        return Check(
            name=f"volume of {self.days} days",
            kind=CheckKind.VOLUME,
            fields=(self.size,),
            meaning=(
                f"volume is {self.ratio_min:g} to {self.ratio_max:g} times the mean of the {self.days} days before"
            ),
            parameters={
                "size": self.size,
                "where": self.where,
                "days": self.days,
                "days_min": self.days_min,
                "ratio_min": self.ratio_min,
                "ratio_max": self.ratio_max,
            },
            limit_low=self.ratio_min,
            limit_high=self.ratio_max,
        )


MarketRule = Gap | Crossed | Stale | Jump | Volume

_SIZES = ("bid_size", "ask_size")

MARKET_RULES: dict[str, tuple[MarketRule, ...]] = {
    TRADES.name: (
        # Five minutes without a print of a stock that has a print a second and more is a hole in the data.
        Gap(seconds=300, rows_min=5_000),
        Jump(price="price", where="action = 'new' AND updates_last", sigmas=10.0, minutes_min=30),
        Volume(
            size="size",
            where="action = 'new' AND updates_volume",
            days=20,
            days_min=5,
            ratio_min=0.2,
            ratio_max=5.0,
        ),
    ),
    QUOTES.name: (
        Gap(seconds=60, rows_min=20_000),
        # A tape that has only the quotes at the best prices leaves a venue's other side standing: 2 to 8 % of
        # the TAQ quotes of 2013 seem crossed for that.
        Crossed(bid="bid", ask="ask", sizes=_SIZES, share_max=0.1, by_venue=True),
        # The same prices may stand for half an hour; prices and sizes of all venues do not.
        Stale(values=("bid", "ask", *_SIZES), seconds=120, rows_min=20_000),
    ),
    BOOK_EVENTS.name: (Gap(seconds=60, rows_min=20_000),),
    # Venues cross each other for moments; for a fiftieth of all changes one of them is wrong.
    NBBO.name: (Crossed(bid="bid", ask="ask", sizes=_SIZES, share_max=0.02),),
    COMPOSITE_QUOTES.name: (Crossed(bid="bid", ask="ask", share_max=0.02),),
    BOOK_TOP.name: (Crossed(bid="bid_1", ask="ask_1", share_max=0.001),),
}


def checks(topic: Topic) -> tuple[Check, ...]:
    """All checks of a topic, in order: of its fields, its rules, its positions, and of the market.

    Examples
    --------
    >>> from schemas.market import TRADES
    >>> [check.name for check in checks(TRADES) if "price" in check.fields]
    ['price given', 'price finite', 'price above 0', 'jump of 10 sigma']
    """
    found = [check for one in topic.fields for check in _field_checks(topic, one)]
    found += [_rule_check(rule) for rule in topic.rules]
    if topic.kind is Kind.RAW and topic.watermarked:
        found.append(_skew_check(topic))
    found.append(_unique_check("position", ("_partition", "_offset", "_row")))
    if topic.identity:
        found.append(_unique_check("identity", topic.identity))
    found += [rule.check() for rule in MARKET_RULES.get(topic.name, ())]
    return tuple(found)


def _field_checks(topic: Topic, one: Field) -> list[Check]:
    found = []

    def add(kind: CheckKind, name: str, **parameters: Any) -> None:
        found.append(
            Check(
                name=f"{one.name} {name}",
                kind=kind,
                fields=(one.name,),
                meaning=f"{one.name} is {name}",
                parameters=parameters,
            )
        )

    if not one.nullable:
        add(CheckKind.COMPLETENESS, "given")
    if one.name == topic.key:
        add(CheckKind.COMPLETENESS, "not empty", empty=False)
    if one.type == FLOAT:
        add(CheckKind.RANGE, "finite", finite=True)
    for bound, words in (("above", "above"), ("minimum", "at least"), ("maximum", "at most")):
        value = getattr(one, bound)
        if value is not None:
            add(CheckKind.RANGE, f"{words} {value:g}", **{bound: value})
    if one.allowed and one.type in (CATEGORY, TEXT):
        found.append(
            Check(
                name=f"{one.name} known",
                kind=CheckKind.VALUES,
                fields=(one.name,),
                meaning=f"{one.name} is one of {', '.join(one.allowed)}",
                parameters={"allowed": list(one.allowed)},
            )
        )
    return found


def _rule_check(rule: Rule) -> Check:
    needs = (" or " if rule.any_of else " and ").join(rule.needs)
    values = ", ".join(rule.values)
    return Check(
        name=f"{needs} for {rule.field} {values}",
        kind=CheckKind.RULE,
        fields=(rule.field, *rule.needs),
        meaning=f"where {rule.field} is one of {values}, {needs} is given",
        parameters={
            "field": rule.field,
            "values": list(rule.values),
            "needs": list(rule.needs),
            "any_of": rule.any_of,
        },
    )


def _skew_check(topic: Topic) -> Check:
    minutes = MAX_SKEW_NS // 60_000_000_000
    return Check(
        name=f"{topic.event_time} not ahead",
        kind=CheckKind.SKEW,
        fields=(topic.event_time,),
        meaning=f"{topic.event_time} is at most {minutes} minutes ahead of the append",
        parameters={"skew_ns_max": MAX_SKEW_NS},
    )


def _unique_check(what: str, fields: tuple[str, ...]) -> Check:
    return Check(
        name=f"{what} unique",
        kind=CheckKind.UNIQUENESS,
        fields=fields,
        meaning=f"no two rows have the same {', '.join(fields)}",
    )
