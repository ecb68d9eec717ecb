"""Lines of TAQ files for tests of feeds, and a clock that stands still."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.feeds.options import FeedOptions
from connectors.feeds.pace import Clock
from connectors.log import Log

NOW_NS = 1_767_268_800_000_000_000
CLOCK = Clock(now_ns=lambda: NOW_NS, sleep=lambda _: None)
OPTIONS = FeedOptions(clock=CLOCK)
EVENT = replace(OPTIONS, ts_recv="event")
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
# 00:00 in New York of Monday 7 October 2013.
MONDAY_NS = 1_381_118_400_000_000_000

Rows = Callable[[Log, str], list[dict[str, Any]]]
Write = Callable[..., Path]


def trades(times_ms: Sequence[int], price: int = 491800) -> list[str]:
    """Trades at these milliseconds of the day."""
    return [f"{ms},{price + at},100,P,1,0" for at, ms in enumerate(times_ms)]


def quotes(times_ms: Sequence[int]) -> list[str]:
    """Bids at these milliseconds of the day."""
    return [f"{ms},491800,{at + 1},0,0,P,1,0" for at, ms in enumerate(times_ms)]


def times_of(rows: list[dict[str, Any]], symbol: str) -> list[int]:
    """Event times of a symbol's rows."""
    return [row["ts_event"] for row in rows if row["symbol"] == symbol]
