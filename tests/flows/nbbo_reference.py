"""The best bid and offer in plain Python: every standing quote in a dictionary, looked through each time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from schemas.market import QUOTES
from schemas.sessions import session_starts


@dataclass(frozen=True)
class Quote:
    """A row of quotes; a side is a price and a size, either of them None, or None."""

    key: str
    time: int
    venue: str
    bid: tuple[float | None, float | None] | None = None
    ask: tuple[float | None, float | None] | None = None
    condition: str | None = None


@dataclass(frozen=True)
class Mark:
    """A watermark row."""

    key: str
    time: int


Best = tuple[float | None, float | None, str | None]


def quotes_batch(quotes: Sequence[Quote]) -> pa.RecordBatch:
    """The rows as a batch of the topic."""
    times = np.array([q.time for q in quotes], dtype=np.int64)
    sides = {"bid": [q.bid or (None, None) for q in quotes]}
    sides["ask"] = [q.ask or (None, None) for q in quotes]
    return QUOTES.batch(
        {
            "symbol": pa.array([q.key for q in quotes]),
            "venue": pa.array([q.venue for q in quotes]),
            "ts_event": times,
            "ts_recv": times,
            **{side: pa.array([v[0] for v in values]) for side, values in sides.items()},
            **{f"{side}_size": pa.array([v[1] for v in values]) for side, values in sides.items()},
            "condition": pa.array([q.condition for q in quotes], pa.string()),
        }
    )


@dataclass
class _Key:
    now: int | None = None
    session_end: int | None = None
    newest: dict[str, int] = field(default_factory=dict)
    newest_best: int | None = None
    standing: dict[str, dict[str, tuple[float, float | None, int]]] = field(
        default_factory=lambda: {"bid": {}, "ask": {}}
    )
    # After each step: its time and the two bests.
    steps: list[tuple[int, Best, Best]] = field(default_factory=list)


class Reference:
    """What `flows.nbbo` must give.

    Parameters
    ----------
    size : str
        As in the flow's parameters.
    stale : int
        As there; 0 for none.
    not_counted : set of str
        Codes of conditions.
    """

    def __init__(self, size: str, stale: int, not_counted: set[str]) -> None:
        self.size, self.stale, self.not_counted = size, stale, not_counted
        self.keys: dict[str, _Key] = {}
        self.late: list[int] = []
        self.sessions = session_starts("XNYS")

    def take(self, events: Sequence[Quote | Mark]) -> None:
        """Take events in; late rows are named by their place among them."""
        for at, event in enumerate(events):
            key = self.keys.setdefault(event.key, _Key())
            time = event.time if key.now is None else max(key.now, event.time)
            self._expire(key, time)
            key.now = time
            if isinstance(event, Quote):
                if key.session_end is None:
                    key.session_end = self._session_end(time)
                self._quote(key, event, at)

    def _expire(self, key: _Key, time: int) -> None:
        while True:
            ends = [] if key.session_end is None else [key.session_end]
            if self.stale:
                ends += [q[2] + self.stale for side in key.standing.values() for q in side.values()]
            if not ends or min(ends) > time:
                return
            end = min(ends)
            over = end == key.session_end
            for side, standing in key.standing.items():
                key.standing[side] = {
                    venue: quote
                    for venue, quote in standing.items()
                    if not over and not (self.stale and quote[2] + self.stale <= end)
                }
            if over:
                key.session_end = self._session_end(end)
            self._step(key, end)

    def _session_end(self, time: int) -> int:
        return int(self.sessions[np.searchsorted(self.sessions, time, side="right")])

    def _quote(self, key: _Key, quote: Quote, at: int) -> None:
        code, *flags = (quote.condition or "").split(";")
        if "suspicious" in flags:
            return
        before = [key.newest.get(quote.venue), key.newest_best if "best" in flags else None]
        ends = [self._session_end(quote.time)] + [quote.time + self.stale] * (self.stale > 0)
        before += [end for end in ends if end <= key.now]
        if any(time is not None and quote.time < time for time in before):
            self.late.append(at)
            return
        key.newest[quote.venue] = quote.time
        if "best" in flags:
            key.newest_best = quote.time
        for side, told in (("bid", quote.bid), ("ask", quote.ask)):
            if told is None:
                continue
            if "best" in flags:
                key.standing[side].clear()
            key.standing[side].pop(quote.venue, None)
            price, size = told
            if price is not None and size != 0 and code not in self.not_counted:
                key.standing[side][quote.venue] = (price, size, quote.time)
        self._step(key, key.now)

    def _step(self, key: _Key, time: int) -> None:
        key.steps.append((time, self._best(key, "bid", max), self._best(key, "ask", min)))

    def _best(self, key: _Key, side: str, better: type[max]) -> Best:
        # In order of the venues' first rows: sums are of floats.
        standing = {
            venue: key.standing[side][venue] for venue in key.newest if venue in key.standing[side]
        }
        if not standing:
            return (None, None, None)
        price = better(quote[0] for quote in standing.values())
        at = {venue: quote[1] for venue, quote in standing.items() if quote[0] == price}
        sizes = [size for size in at.values() if size is not None]
        if self.size == "sum":
            size = sum(sizes) if len(sizes) == len(at) else None
        else:
            size = max(sizes, default=None)
        return (price, size, ",".join(sorted(at)))

    def rows(self, name: str) -> list[tuple]:
        """Of a key: time, number, bid, ask, state."""
        key = self.keys[name]
        found: list[tuple] = []
        last = ((None, None, None), (None, None, None))
        for at, (time, bid, ask) in enumerate(key.steps):
            state = _state(bid[0], ask[0])
            follows = [key.now, *(step[0] for step in key.steps[at + 1 : at + 2])]
            lasts = min(follows[-1], key.now) > time
            if (bid, ask) != last and (lasts or state not in ("locked", "crossed")):
                last = (bid, ask)
                found.append((time, len(found) + 1, *bid, *ask, state))
        return found


def _state(bid: float | None, ask: float | None) -> str:
    if bid is None and ask is None:
        return "empty"
    if bid is None or ask is None:
        return "one_sided"
    return "normal" if bid < ask else "locked" if bid == ask else "crossed"
