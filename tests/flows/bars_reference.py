"""Bars computed the plain way: one event at a time, each window a list of its trades."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.sessions import session_starts

DAY = 86_400 * 10**9


class Trade(NamedTuple):
    """A trade, or a correction of one where `action` is not new."""

    key: str
    time: int
    price: float = 1.0
    size: float = 1.0
    side: str | None = None
    high_low: bool = True
    last: bool = True
    volume: bool = True
    action: str = "new"


class Mark(NamedTuple):
    """A watermark row."""

    key: str
    time: int


class Last(NamedTuple):
    """The bar written last: its end, the last close, the session of the last bar with trades, fills since."""

    end: int
    close: float | None
    session: tuple[int, int]
    run: int


@dataclass
class Key:
    """State of one symbol: per interval the open windows (start to trades) and the last bar."""

    frontier: int | None = None
    windows: dict[int, dict[int, list[Trade]]] = field(default_factory=lambda: defaultdict(dict))
    last: dict[int, Last] = field(default_factory=dict)


class Reference:
    """The bars' definition, row by row."""

    def __init__(self, intervals: dict[str, int], lateness: int = 0, fill_limit: int = 0) -> None:
        self.names = list(intervals)
        self.lengths = list(intervals.values())
        self.lateness = lateness
        self.fill_limit = fill_limit
        self.starts = session_starts("XNYS").tolist()
        self.keys: dict[str, Key] = defaultdict(Key)
        self.bars: list[tuple] = []
        self.late: list[tuple] = []
        self.corrections: list[int] = []

    def session(self, time: int) -> tuple[int, int]:
        at = bisect_right(self.starts, time) - 1
        if at < 0:
            days = -(-(self.starts[0] - time) // DAY)
            return self.starts[0] - days * DAY, self.starts[0] - days * DAY + DAY
        if at + 1 == len(self.starts):
            days = (time - self.starts[-1]) // DAY
            return self.starts[-1] + days * DAY, self.starts[-1] + days * DAY + DAY
        return self.starts[at], self.starts[at + 1]

    def window(self, j: int, time: int) -> tuple[int, int]:
        length = self.lengths[j]
        if not length:
            return self.session(time)
        return time - time % length, time - time % length + length

    def run(self, events: list[Trade | Mark]) -> "Reference":
        for index, event in enumerate(events):
            key = self.keys[event.key]
            moved = event.time - (self.lateness if isinstance(event, Trade) else 0)
            key.frontier = moved if key.frontier is None else max(key.frontier, moved)
            if isinstance(event, Mark):
                self.close(event.key)
                continue
            if event.action != "new":
                self.close(event.key)
                self.corrections.append(index)
                continue
            entered = {}
            missed = []
            for j in range(len(self.lengths)):
                start, end = self.window(j, event.time)
                if end <= key.frontier:
                    missed.append((index, self.names[j], end, key.frontier))
                else:
                    entered[j] = start
            self.close(event.key)
            for j, start in entered.items():
                key.windows[j].setdefault(start, []).append(event)
            self.late += [(*row, bool(entered)) for row in missed]
        return self

    def close(self, name: str) -> None:
        key = self.keys[name]
        ready = []
        for j in range(len(self.lengths)):
            for start in sorted(key.windows[j]):
                end = self.window(j, start)[1]
                if end > key.frontier:
                    break
                ready += self.filled(key, j, until=start)
                bar = self.bar(key.windows[j].pop(start))
                ready.append((end, j, start, bar))
                before = key.last.get(j)
                session = self.session(end - 1)
                kept = before.close if before and before.session == session else None
                key.last[j] = Last(end, kept if bar[3] is None else bar[3], session, 0)
            ready += self.filled(key, j, until=min([key.frontier, *key.windows[j]]))
        for end, j, start, bar in sorted(ready, key=lambda row: row[:2]):
            self.bars.append((name, self.names[j], end, start, *bar))

    def filled(self, key: Key, j: int, until: int) -> list[tuple]:
        found = []
        last = key.last.get(j)
        while last and last.close is not None and self.lengths[j] and last.run < self.fill_limit:
            end = last.end + self.lengths[j]
            if end > until or self.session(last.end) != last.session:
                break
            bar = (last.close, last.close, last.close, last.close, 0.0, 0, None, 0.0, 0.0)
            found.append((end, j, last.end, bar))
            last = key.last[j] = last._replace(end=end, run=last.run + 1)
        return found

    @staticmethod
    def bar(trades: list[Trade]) -> tuple:
        lasts = [t.price for t in trades if t.last]
        opening = lasts[0] if lasts else None
        close = lasts[-1] if lasts else None
        ranged = [t.price for t in trades if t.high_low] + [p for p in (opening, close) if p]
        volume = turnover = buy = sell = 0.0
        for trade in trades:
            if trade.volume:
                volume += trade.size
                turnover += trade.price * trade.size
                buy += trade.size if trade.side == "buy" else 0.0
                sell += trade.size if trade.side == "sell" else 0.0
        return (
            opening,
            max(ranged, default=None),
            min(ranged, default=None),
            close,
            volume,
            len(trades),
            turnover / volume if volume else None,
            buy,
            sell,
        )
