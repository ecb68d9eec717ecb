"""Binance on loopback: a recorded capture played with faults, and its true books answered over HTTP.

As a program it plays a capture to whoever connects, again and again::

    python -m tests.connectors.live.binance_venue --market usdm --port 9999 --messages 20000
"""

import argparse
import gzip
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.connectors.live.venue import Cut, Do, Hear, Say, Step, Until, Venue, Wait

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "ticks" / "binance"


@dataclass
class TrueBook:
    """The book as the venue has it: every update is in it, whoever lost it."""

    last: int = 0
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)

    def take(self, update: dict[str, Any]) -> None:
        last = update.get("lastUpdateId", update.get("u"))
        if last <= self.last:
            return
        self.last = last
        for name, levels in (("bids", self.bids), ("asks", self.asks)):
            for price, size in update.get(name, update.get(name[0], [])):
                levels[price] = size
                if float(size) == 0:
                    del levels[price]

    def snapshot(self) -> bytes:
        return orjson.dumps(
            {
                "lastUpdateId": self.last,
                "bids": [[price, size] for price, size in self.bids.items()],
                "asks": [[price, size] for price, size in self.asks.items()],
            }
        )

    def levels(self) -> dict[tuple[str, float], float]:
        """(side, price) to size."""
        return {
            (side, float(price)): float(size)
            for side, levels in (("buy", self.bids), ("sell", self.asks))
            for price, size in levels.items()
        }


@dataclass(frozen=True)
class Told:
    """A message of a capture."""

    payload: bytes
    data: dict[str, Any]

    @property
    def symbol(self) -> str:
        return str(self.data["s"])

    @property
    def kind(self) -> str:
        return str(self.data.get("e", "bookTicker"))


class BinanceVenue:
    """Plays captures of one market.

    ``delivered`` is what went over the wire whole, in order; ``lost`` what did not. Answers over HTTP may fail
    first: ``failures`` are their statuses.
    """

    def __init__(
        self, market: str, symbols: Sequence[str], messages: int, failures: Sequence[int] = ()
    ) -> None:
        self.books: dict[str, TrueBook] = {}
        self.told: list[Told] = []
        self.delivered: list[Told] = []
        self.lost: list[Told] = []
        self.failures = list(failures)
        merged: list[tuple[int, bytes]] = []
        for symbol in symbols:
            path = CAPTURES / f"{market}_{symbol.lower()}_20240808.jsonl.gz"
            with gzip.open(path) as file:
                for line in file:
                    time, payload = line.rstrip().split(b" ", 1)
                    if payload.startswith(b'{"lastUpdateId"'):
                        book = self.books[symbol] = TrueBook()
                        book.take(orjson.loads(payload))
                    else:
                        merged.append((int(time), payload))
        merged.sort(key=lambda one: one[0])
        for _, payload in merged[:messages]:
            self.told.append(Told(payload, orjson.loads(payload)["data"]))
        self.venue = Venue([], answer=self._answer)

    def say(self, one: Told) -> Step:
        return Say(one.payload, lambda: (self._happen(one), self.delivered.append(one)))

    def lose(self, one: Told) -> Step:
        return Do(lambda: (self._happen(one), self.lost.append(one)))

    def cut(self, one: Told) -> list[Step]:
        return [self.lose(one), Cut(one.payload)]

    def asked(self, symbol: str) -> int:
        return sum(symbol in path for path in self.venue.asked)

    def _happen(self, one: Told) -> None:
        if one.kind == "depthUpdate":
            self.books[one.symbol].take(one.data)

    def _answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.failures:
            return self.failures.pop(0), {"Retry-After": "0"}, b'{"code":-1,"msg":"not now"}'
        (symbol,) = parse_qs(urlsplit(path).query)["symbol"]
        return 200, {"Content-Type": "application/json"}, self.books[symbol].snapshot()


@dataclass
class Faults:
    """What goes wrong, by the index of the message: made with a seed, no two near each other."""

    lost: dict[int, str] = field(default_factory=dict)
    doubled: set[int] = field(default_factory=set)
    swapped: dict[int, int] = field(default_factory=dict)
    cut: set[int] = field(default_factory=set)


def plan(told: Sequence[Told], seed: int, *, each: int = 3) -> Faults:
    """Losses of trades and depth, doubles of all kinds, swapped trades, and two cuts."""
    dice = random.Random(seed)
    faults = Faults()
    free = set(range(len(told) // 4, len(told) - len(told) // 10))
    last_of: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(told):
        last_of.setdefault((one.kind, one.symbol), []).append(at)

    def pick(kind: str, symbol: str) -> int:
        run = last_of[kind, symbol]
        while True:
            at = dice.randrange(2, len(run) - 2)
            near = run[at - 2 : at + 3]
            if all(index in free for index in near):
                free.difference_update(near)
                return run[at]

    for kind, symbol in sorted(last_of):
        for _ in range(each):
            faults.doubled.add(pick(kind, symbol))
        if kind == "bookTicker":
            continue
        for _ in range(each):
            faults.lost[pick(kind, symbol)] = kind
        if kind == "trade":
            run = last_of[kind, symbol]
            at = run.index(pick(kind, symbol))
            faults.swapped[run[at]] = run[at + 1]
        faults.cut.add(pick(kind, symbol))
    return faults


def scripts(venue: BinanceVenue, faults: Faults) -> list[list[Step]]:
    """The capture as connections: each cut begins another one."""
    connections: list[list[Step]] = [[Hear()]]
    swapped = {second: first for first, second in faults.swapped.items()}
    begun: set[str] = set()
    broken: set[str] = set()
    for at, one in enumerate(venue.told):
        steps = connections[-1]
        if at in faults.lost:
            steps.append(venue.lose(one))
            broken |= {one.symbol} if one.kind == "depthUpdate" else set()
            continue
        if at in faults.cut:
            steps += venue.cut(one)
            connections.append([Hear()])
            broken |= {one.symbol} if one.kind == "depthUpdate" else set()
            continue
        if at in faults.swapped:
            continue
        steps.append(venue.say(one))
        if at in swapped:
            steps.append(venue.say(venue.told[swapped[at]]))
        if at in faults.doubled:
            steps.append(venue.say(one))
        if one.kind == "depthUpdate" and (one.symbol not in begun or one.symbol in broken):
            # The next loss of the symbol must not come before the client has seen this one.
            steps += _until_asked(venue, one.symbol)
            begun.add(one.symbol)
            broken.discard(one.symbol)
    return connections


def _until_asked(venue: BinanceVenue, symbol: str) -> list[Step]:
    before = [0]
    return [
        Do(lambda: before.__setitem__(0, venue.asked(symbol))),
        Until(lambda: venue.asked(symbol) > before[0] and not venue.failures),
        Wait(0.1),
    ]


def main() -> None:
    """Play a capture until told to stop."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--market", default="spot", choices=["spot", "usdm"])
    told.add_argument("--symbols", default="BTCUSDT,ETHUSDT")
    told.add_argument("--messages", type=int, default=20_000)
    told.add_argument("--port", type=int, default=0)
    told.add_argument("--seed", type=int, default=1)
    asked = told.parse_args()
    venue = BinanceVenue(asked.market, asked.symbols.split(","), asked.messages)
    venue.venue.port = asked.port
    venue.venue.scripts = list(scripts(venue, plan(venue.told, asked.seed)))
    with venue.venue.running() as running:
        print(f"--url {running.url} --rest-url {running.rest_url}", flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
