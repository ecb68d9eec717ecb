"""What an expression may ask of a symbol: every criterion with its meaning, unit and where it is from.

A criterion is read from the bar, from the book, from breadth or from the table of instruments; it is an
output of an indicator, computed by the indicators' own kernels, or of a series that looks back; or it is a
formula of other criteria, written in the language itself. ``{n}`` in a name stands for a whole number.
"""

from dataclasses import dataclass
from enum import StrEnum

from flows.kernels.indicators.declaration import Indicator
from flows.kernels.scan_series import (
    SESSION_OUTPUTS,
    SESSION_SERIES,
    SESSIONS_SERIES,
    WINDOW_SERIES,
)


class Origin(StrEnum):
    """Where a criterion's values are from."""

    BAR = "the bar"
    SERIES = "the bars before"
    INDICATOR = "an indicator"
    FORMULA = "a formula"
    MARKET = "breadth of ALL"
    SECTOR = "breadth of the symbol's sector"
    BOOK = "the book"
    INSTRUMENT = "instruments"


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A criterion, or with ``{n}`` in its name a family of them.

    Parameters
    ----------
    name : str
        As expressions write it.
    origin : Origin
        Where its values are from.
    meaning : str
        What it is, in a few words.
    unit : str
        Of the values.
    source : str
        For a formula its text; otherwise the field or output that is read.
    series : Indicator or None
        The series it is an output of.
    is_text : bool
        Whether it is a text and no number.
    """

    name: str
    origin: Origin
    meaning: str
    unit: str
    source: str = ""
    series: Indicator | None = None
    is_text: bool = False


_PRICE, _RATIO, _SHARES = "quote currency", "ratio", "shares, contracts or coins"
_MONEY, _COUNT = "quote currency", "count"


def _bar(name: str, meaning: str, unit: str) -> Criterion:
    return Criterion(name=name, origin=Origin.BAR, meaning=meaning, unit=unit, source=name)


def _formula(name: str, meaning: str, unit: str, source: str) -> Criterion:
    return Criterion(name=name, origin=Origin.FORMULA, meaning=meaning, unit=unit, source=source)


def _series(name: str, series: Indicator, output: str, meaning: str, unit: str) -> Criterion:
    return Criterion(
        name=name, origin=Origin.SERIES, meaning=meaning, unit=unit, source=output, series=series
    )


def _instrument(name: str, meaning: str, unit: str = "none", *, is_text: bool = True) -> Criterion:
    return Criterion(
        name=name,
        origin=Origin.INSTRUMENT,
        meaning=meaning,
        unit=unit,
        source=name,
        is_text=is_text,
    )


_BARS = (
    _bar("open", "Open of the bar", _PRICE),
    _bar("high", "High of the bar", _PRICE),
    _bar("low", "Low of the bar", _PRICE),
    _bar("close", "Close of the bar", _PRICE),
    _bar("volume", "Volume of the bar", _SHARES),
    _bar("vwap", "Volume-weighted mean price of the bar", _PRICE),
    _bar("trade_count", "Trades in the bar", _COUNT),
    _bar("buy_volume", "Volume of the bar whose aggressor bought", _SHARES),
    _bar("sell_volume", "Volume of the bar whose aggressor sold", _SHARES),
)
_SESSION_MEANINGS = (
    ("Open of the session", _PRICE),
    ("High of the session so far", _PRICE),
    ("Low of the session so far", _PRICE),
    ("Volume of the session so far", _SHARES),
    ("Bars of the session so far", _COUNT),
    ("Open of the previous session", _PRICE),
    ("High of the previous session", _PRICE),
    ("Low of the previous session", _PRICE),
    ("Close of the previous session", _PRICE),
    ("Volume of the previous session", _SHARES),
    ("Bars that have closed higher in a row", _COUNT),
    ("Bars that have closed lower in a row", _COUNT),
)
_LOOKING_BACK = (
    *(
        _series(name, SESSION_SERIES, name, meaning, unit)
        for name, (meaning, unit) in zip(SESSION_OUTPUTS, _SESSION_MEANINGS, strict=True)
    ),
    _series("close_ago_{n}", WINDOW_SERIES, "close_ago", "Close n bars ago", _PRICE),
    _series("high_{n}", WINDOW_SERIES, "high", "Highest high of the last n bars", _PRICE),
    _series("low_{n}", WINDOW_SERIES, "low", "Lowest low of the last n bars", _PRICE),
    _series(
        "average_volume_{n}",
        WINDOW_SERIES,
        "average_volume",
        "Mean volume of the n bars before",
        _SHARES,
    ),
    _series("close_ago_{n}d", SESSIONS_SERIES, "close_ago", "Close n sessions ago", _PRICE),
    _series("high_{n}d", SESSIONS_SERIES, "high", "Highest high of n sessions before", _PRICE),
    _series("low_{n}d", SESSIONS_SERIES, "low", "Lowest low of n sessions before", _PRICE),
    _series(
        "average_volume_{n}d",
        SESSIONS_SERIES,
        "average_volume",
        "Mean volume of the n sessions before",
        _SHARES,
    ),
)
_FORMULAS = (
    _formula("change_{n}", "Change over n bars", _RATIO, "close / close_ago_{n} - 1"),
    _formula("change_{n}d", "Change over n sessions", _RATIO, "close / close_ago_{n}d - 1"),
    _formula("change_open", "Change since the session's open", _RATIO, "close / session_open - 1"),
    _formula("gap", "Gap at the session's open", _RATIO, "session_open / previous_close - 1"),
    _formula(
        "gap_left",
        "What is left of the gap",
        _RATIO,
        "(close - previous_close) / (session_open - previous_close)",
    ),
    _formula("range", "Range of the bar", _PRICE, "high - low"),
    _formula("range_share", "Range over the close", _RATIO, "(high - low) / close"),
    _formula("body", "Close less open", _PRICE, "close - open"),
    _formula("body_share", "Body over the range", _RATIO, "abs(close - open) / (high - low)"),
    _formula("upper_shadow", "High less body", _PRICE, "high - max(open, close)"),
    _formula("lower_shadow", "Body less low", _PRICE, "min(open, close) - low"),
    _formula("bar_position", "Close within the range", _RATIO, "(close - low) / (high - low)"),
    _formula("typical_price", "Typical price", _PRICE, "(high + low + close) / 3"),
    _formula("dollar_volume", "Value traded in the bar", _MONEY, "vwap * volume"),
    _formula("vwap_distance", "Close over the bar's VWAP", _RATIO, "close / vwap - 1"),
    _formula(
        "buy_share",
        "Bought share of the signed volume",
        _RATIO,
        "buy_volume / (buy_volume + sell_volume)",
    ),
    _formula("volume_delta", "Bought less sold", _SHARES, "buy_volume - sell_volume"),
    _formula("average_trade_size", "Mean size of a trade", _SHARES, "volume / trade_count"),
    _formula(
        "relative_volume_{n}",
        "Volume over the mean of the n bars before",
        _RATIO,
        "volume / average_volume_{n}",
    ),
    _formula(
        "relative_volume_{n}d",
        "The session's volume over the mean of the n before",
        _RATIO,
        "session_volume / average_volume_{n}d",
    ),
    _formula(
        "average_dollar_volume_{n}d",
        "Mean volume of n sessions at the close",
        _MONEY,
        "average_volume_{n}d * close",
    ),
    _formula("from_high_{n}", "Distance to the n-bar high", _RATIO, "close / high_{n} - 1"),
    _formula("from_low_{n}", "Distance to the n-bar low", _RATIO, "close / low_{n} - 1"),
    _formula("from_high_{n}d", "Distance to the n-session high", _RATIO, "close / high_{n}d - 1"),
    _formula("from_low_{n}d", "Distance to the n-session low", _RATIO, "close / low_{n}d - 1"),
    _formula(
        "position_{n}",
        "Close within the n-bar range",
        _RATIO,
        "(close - low_{n}) / (high_{n} - low_{n})",
    ),
    _formula(
        "session_position",
        "Close within the session's range",
        _RATIO,
        "(close - session_low) / (session_high - session_low)",
    ),
    _formula(
        "session_range_share",
        "The session's range over the previous close",
        _RATIO,
        "(session_high - session_low) / previous_close",
    ),
    _formula("pivot", "Pivot point", _PRICE, "(previous_high + previous_low + previous_close) / 3"),
    _formula("distance_sma_{n}", "Close over the simple mean", _RATIO, "close / sma_{n} - 1"),
    _formula("distance_ema_{n}", "Close over the exponential mean", _RATIO, "close / ema_{n} - 1"),
    _formula("atr_share_{n}", "Average true range over the close", _RATIO, "atr_{n} / close"),
    _formula(
        "bollinger_width_{n}",
        "Width of the bands of 2 deviations",
        _RATIO,
        "(bbands_{n}_2_upper - bbands_{n}_2_lower) / bbands_{n}_2_middle",
    ),
    _formula(
        "bollinger_position_{n}",
        "Close within the bands of 2 deviations",
        _RATIO,
        "(close - bbands_{n}_2_lower) / (bbands_{n}_2_upper - bbands_{n}_2_lower)",
    ),
    _formula("spread_share", "Spread over the mid price", _RATIO, "spread / mid"),
    _formula("microprice_distance", "Microprice over mid", _RATIO, "microprice / mid - 1"),
    _formula("book_size", "Size at the best prices", _SHARES, "bid_size + ask_size"),
    _formula(
        "market_advance_share",
        "Share of the market that advances",
        _RATIO,
        "market_advances / market_members",
    ),
    _formula(
        "sector_advance_share",
        "Share of the sector that advances",
        _RATIO,
        "sector_advances / sector_members",
    ),
    _formula(
        "market_up_share",
        "Share of the market's volume in advancing symbols",
        _RATIO,
        "market_up_volume / market_volume",
    ),
)
BREADTH_FIELDS = {
    "members": "Symbols with a bar",
    "advances": "Symbols that advance",
    "declines": "Symbols that decline",
    "unchanged": "Symbols that do neither",
    "net_advances": "Advances less declines",
    "new_highs": "Symbols with a new high",
    "new_lows": "Symbols with a new low",
    "up_volume": "Volume of symbols that advance",
    "down_volume": "Volume of symbols that decline",
    "volume": "Volume of all symbols",
    "trin": "Arms index",
}
_BREADTH = tuple(
    Criterion(
        name=f"{prefix}_{field}",
        origin=origin,
        meaning=meaning,
        unit=_RATIO if field == "trin" else _SHARES if "volume" in field else _COUNT,
        source=field,
    )
    for prefix, origin in (("market", Origin.MARKET), ("sector", Origin.SECTOR))
    for field, meaning in BREADTH_FIELDS.items()
)
BOOK_FIELDS = {
    "bid": "bid_1",
    "bid_size": "bid_size_1",
    "ask": "ask_1",
    "ask_size": "ask_size_1",
    "spread": "spread",
    "mid": "mid",
    "microprice": "microprice",
    "imbalance": "imbalance",
    "imbalance_depth": "imbalance_depth",
    "ofi": "ofi",
}
_BOOK_MEANINGS = {
    "bid": ("Best bid", _PRICE),
    "bid_size": ("Size at the best bid", _SHARES),
    "ask": ("Best ask", _PRICE),
    "ask_size": ("Size at the best ask", _SHARES),
    "spread": ("Ask less bid", _PRICE),
    "mid": ("Mean of bid and ask", _PRICE),
    "microprice": ("Mid price weighted by the other side's size", _PRICE),
    "imbalance": ("Bid size less ask size over both", _RATIO),
    "imbalance_depth": ("The same over all levels", _RATIO),
    "ofi": ("Order-flow imbalance of the book's last change", _SHARES),
}
_BOOK = tuple(
    Criterion(
        name=name,
        origin=Origin.BOOK,
        meaning=_BOOK_MEANINGS[name][0],
        unit=_BOOK_MEANINGS[name][1],
        source=field,
    )
    for name, field in BOOK_FIELDS.items()
)
_INSTRUMENTS = (
    _instrument("sector", "Sector of the issuer"),
    _instrument("type", "Kind of instrument"),
    _instrument("currency", "Currency of the prices"),
    _instrument("venue", "Venue of the listing"),
    _instrument("calendar", "Calendar of the sessions"),
    _instrument("tick_size", "Smallest step of a price", _PRICE, is_text=False),
    _instrument("lot_size", "Size of a round lot", _SHARES, is_text=False),
)

CRITERIA: dict[str, Criterion] = {
    criterion.name: criterion
    for criterion in (
        *_BARS,
        *_LOOKING_BACK,
        *_FORMULAS,
        *_BREADTH,
        *_BOOK,
        *_INSTRUMENTS,
    )
}
"""All criteria but the indicators, by name."""
