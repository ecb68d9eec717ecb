"""Criteria of the scanner computed the plain way: each by its definition, from the list of a symbol's bars."""

import math
from operator import itemgetter
from typing import Any

NAN = math.nan

Table = list[dict[str, Any]]


def reference(rows: Table) -> dict[tuple[str, int], dict[str, float]]:
    """Every criterion by its definition, from the list of a symbol's bars that have prices."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for symbol in {row["symbol"] for row in rows}:
        own = [row for row in rows if row["symbol"] == symbol and row["close"] is not None]
        for at, row in enumerate(own):
            found[symbol, row["ts_event"]] = _by_definition(own[: at + 1])
    return found


def _by_definition(bars: Table) -> dict[str, float]:
    now = bars[-1]
    sessions: list[Table] = []
    for bar in bars:
        if not sessions or sessions[-1][0]["session"] != bar["session"]:
            sessions.append([])
        sessions[-1].append(bar)
    this = sessions[-1]
    before = sessions[-2] if len(sessions) > 1 else None
    last2 = sessions[-3:-1] if len(sessions) > 2 else None
    open_, high, low, close = now["open"], now["high"], now["low"], now["close"]
    volume = now["volume"]

    def over(part: Table | None, name: str, how: Any) -> float:
        return NAN if part is None else how([bar[name] for bar in part])

    def run(sign: int) -> float:
        if len(bars) == 1:
            return NAN
        count = 0
        while (
            count < len(bars) - 1
            and sign * (bars[-1 - count]["close"] - bars[-2 - count]["close"]) > 0
        ):
            count += 1
        return count

    def ratio(above: float, below: float) -> float:
        return above / below if below else NAN

    first, last = itemgetter(0), itemgetter(-1)
    flat = None if last2 is None else [bar for session in last2 for bar in session]
    seven = bars[-7:] if len(bars) >= 7 else None
    six = bars[-7:-1] if len(bars) >= 7 else None
    top, bottom = over(seven, "high", max), over(seven, "low", min)
    ago, ago2 = (
        (bars[-6]["close"] if len(bars) > 5 else NAN),
        (last2[0][-1]["close"] if last2 else NAN),
    )
    mean6 = over(six, "volume", sum) / 6
    mean2 = over(flat, "volume", sum) / 2
    previous = {
        name: over(before, name, how)
        for name, how in (
            ("open", first),
            ("high", max),
            ("low", min),
            ("close", last),
            ("volume", sum),
        )
    }
    session_open, session_high = this[0]["open"], over(this, "high", max)
    session_low, session_volume = over(this, "low", min), over(this, "volume", sum)
    return {
        "session_open": session_open,
        "session_high": session_high,
        "session_low": session_low,
        "session_volume": session_volume,
        "session_bars": len(this),
        **{f"previous_{name}": value for name, value in previous.items()},
        "up_bars": run(1),
        "down_bars": run(-1),
        "close_ago_5": ago,
        "high_7": top,
        "low_7": bottom,
        "average_volume_6": mean6,
        "close_ago_2d": ago2,
        "high_2d": over(flat, "high", max),
        "low_2d": over(flat, "low", min),
        "average_volume_2d": mean2,
        "change_5": close / ago - 1,
        "change_2d": close / ago2 - 1,
        "change_open": close / session_open - 1,
        "gap": session_open / previous["close"] - 1,
        "gap_left": ratio(close - previous["close"], session_open - previous["close"]),
        "range_share": (high - low) / close,
        "body_share": ratio(abs(close - open_), high - low),
        "upper_shadow": high - max(open_, close),
        "lower_shadow": min(open_, close) - low,
        "bar_position": ratio(close - low, high - low),
        "typical_price": (high + low + close) / 3,
        "dollar_volume": now["vwap"] * volume,
        "vwap_distance": close / now["vwap"] - 1,
        "buy_share": now["buy_volume"] / (now["buy_volume"] + now["sell_volume"]),
        "volume_delta": now["buy_volume"] - now["sell_volume"],
        "average_trade_size": volume / now["trade_count"],
        "relative_volume_6": volume / mean6,
        "relative_volume_2d": session_volume / mean2,
        "from_high_7": close / top - 1,
        "from_low_2d": close / over(flat, "low", min) - 1,
        "position_7": ratio(close - bottom, top - bottom),
        "session_position": ratio(close - session_low, session_high - session_low),
        "session_range_share": (session_high - session_low) / previous["close"],
        "pivot": (previous["high"] + previous["low"] + previous["close"]) / 3,
    }
