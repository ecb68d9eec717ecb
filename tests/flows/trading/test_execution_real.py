"""AIG and IBM, 7 October 2013, real quotes and trades: fills against Polars and a plain row-by-row reference."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.taq import Taq
from schemas.market import QUOTES, TRADES
from schemas.topic import Topic
from tests.flows.trading.executing import OPEN_NS, SECOND_NS, Trader, given, plain

pytestmark = pytest.mark.shared

HALF_MS = 500_000
# Of LEAN's bits: what never met a book.
OFF_BOOK = sum(1 << bit for bit in (1, 2, 3, 9, 14, 18, 20, 22, 24, 25, 26))


def day(shared: Path, symbol: str, kind: str) -> pl.DataFrame:
    """One day's rows of a topic, with ns times and the symbol AIG, as the helper has it."""
    path = shared / f"ticks/us_equity_taq/{symbol}/20131007_{kind}.zip"
    [source] = Taq(VENDOR).open(probe(path), 4 << 20)
    frame = pl.concat(pl.DataFrame(block.rows.batch) for block in source.blocks())
    return frame.with_columns(
        symbol=pl.lit("AIG"),
        ts=pl.col("ts_event").dt.epoch("ns"),
        venue=pl.col("venue").cast(pl.String),
    )


def feed(trader: Trader, topic: Topic, frame: pl.DataFrame) -> None:
    """Rows in one batch."""
    if frame.height:
        names = [field.name for field in topic.fields]
        batch = topic.batch({name: frame[name].to_arrow() for name in names})
        trader._keep(trader.flow.on_rows(given(topic, batch)))


@pytest.mark.parametrize("symbol", ["aig", "ibm"])
def test_what_takes_gets_the_tapes_best_price_and_its_size(shared: Path, symbol: str) -> None:
    quotes = day(shared, symbol, "quote").filter(pl.col("condition").cast(pl.String) == "1;best")
    times = [OPEN_NS + minute * 60 * SECOND_NS + HALF_MS for minute in range(3, 390, 5)]
    trader = Trader()
    before = 0
    for at, time in enumerate(times):
        feed(trader, QUOTES, quotes.filter(pl.col("ts").is_between(before, time, closed="left")))
        before = time
        side = "buy" if at % 2 else "sell"
        trader.seconds = (time - OPEN_NS) / SECOND_NS
        trader.order(f"o{at}", side, quantity=10**6, time_in_force="ioc")

    asked = pl.DataFrame({"ts": times, "at": range(len(times))})
    want = []
    for side, name in (("buy", "ask"), ("sell", "bid")):
        told = quotes.filter(pl.col(name).is_not_null()).select(
            "ts", price=name, size=f"{name}_size"
        )
        mine = asked.filter(pl.col("at") % 2 == (side == "buy"))
        want.append(mine.join_asof(told, on="ts", strategy="backward"))
    expected = pl.concat(want).sort("at")
    got = [(row["order_id"], row["price"], row["quantity"]) for row in trader.out["executions"]]
    assert got == [
        (f"o{at}", Decimal(f"{price:.2f}"), Decimal(size))
        for at, price, size in expected.select("at", "price", "size").rows()
    ]
    assert len(got) == len(times)


@dataclass
class Resting:
    """A plain reference: one order in one queue, one row after the other, in cents."""

    is_buy: bool
    limit: int
    left: float
    ahead: float | None = None
    displayed: float | None = None
    traded: float = 0.0

    def fill(self, size: float) -> float:
        taken = min(self.left, size)
        self.left -= taken
        return taken

    def on_trade(self, cents: int, size: float) -> float:
        if cents < self.limit if self.is_buy else cents > self.limit:
            return self.fill(size)
        if cents != self.limit or self.ahead is None:
            return 0.0
        reached = max(size - self.ahead, 0.0)
        self.ahead = max(self.ahead - size, 0.0)
        self.traded += size
        return self.fill(reached)

    def on_own_side(self, cents: int | None, size: float) -> None:
        if cents is None or (cents < self.limit if self.is_buy else cents > self.limit):
            size = 0.0
        elif cents != self.limit:
            return
        if self.ahead == 0:
            return
        if self.ahead is None or self.displayed is None:
            self.ahead = size if self.ahead is None else min(self.ahead, size)
        else:
            before = max(self.displayed - self.traded, self.ahead)
            # In whole shares, rounded down.
            self.ahead -= int(max(before - size, 0.0)) * int(self.ahead) // int(before)
            self.ahead = min(self.ahead, size)
        self.displayed, self.traded = size, 0.0


def reference(
    events: list[tuple[Any, ...]], entry: int, *, is_buy: bool, quantity: float
) -> tuple[int, list[tuple[int, float, float]]]:
    """Limit in cents of an order that joins its side's best, and its fills: time, size, price in cents."""
    sides: dict[str, tuple[int | None, float, str]] = {"bid": (None, 0, ""), "ask": (None, 0, "")}
    own, other = ("bid", "ask") if is_buy else ("ask", "bid")
    order: Resting | None = None
    fills: list[tuple[int, float, float]] = []
    used = 0.0
    for ts, is_trade, venue, price, size, bid, bid_size, ask, ask_size, conditions in events:
        if order is None and ts > entry:
            cents, shown, _ = sides[own]
            assert cents is not None
            order = Resting(is_buy, cents, quantity, shown, shown)
        bid_now, ask_now = sides["bid"][0], sides["ask"][0]
        crossed = bid_now is not None and ask_now is not None and bid_now > ask_now
        taken = 0.0
        if is_trade:
            meets = not int(conditions, 16) & OFF_BOOK and venue != "D"
            if order is not None and order.left and meets and not crossed:
                taken = order.on_trade(round(price * 100), size)
        else:
            for side, at, much in (("bid", bid, bid_size), ("ask", ask, ask_size)):
                if at is not None:
                    new = (round(at * 100) if much else None, much, venue)
                    used = used if side != other or new == sides[side] else 0.0
                    sides[side] = new
            bid_now, ask_now = sides["bid"][0], sides["ask"][0]
            crossed = bid_now is not None and ask_now is not None and bid_now > ask_now
            if order is not None and order.left and not crossed:
                facing, shown, _ = sides[other]
                if facing is not None and (
                    facing <= order.limit if is_buy else facing >= order.limit
                ):
                    taken = order.fill(max(shown - used, 0.0))
                    used += taken
                order.on_own_side(*sides[own][:2])
        if taken and order is not None:
            fills.append((ts, taken, order.limit))
        if order is not None and not order.left:
            break
    assert order is not None
    return order.limit, fills


@pytest.mark.parametrize("symbol", ["aig", "ibm"])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_what_rests_is_filled_as_a_plain_queue_would_be(
    shared: Path, symbol: str, side: str
) -> None:
    quotes = day(shared, symbol, "quote").filter(pl.col("condition").cast(pl.String) == "1;best")
    trades = day(shared, symbol, "trade").filter(pl.col("updates_volume") & (pl.col("size") > 0))
    columns = ("bid", "bid_size", "ask", "ask_size")
    merged = pl.concat(
        [
            quotes.select(
                "ts",
                pl.lit(False).alias("is_trade"),
                "venue",
                pl.lit(0.0).alias("price"),
                pl.lit(0.0).alias("size"),
                *columns,
                pl.lit("0").alias("conditions"),
            ),
            trades.select(
                "ts",
                pl.lit(True).alias("is_trade"),
                "venue",
                "price",
                "size",
                *(pl.lit(None, pl.Float64).alias(name) for name in columns),
                pl.col("conditions").cast(pl.String),
            ),
        ]
    ).sort("ts", "is_trade", maintain_order=True)
    filled = 0
    for minute in (5, 47, 95, 180, 301):
        entry = OPEN_NS + minute * 60 * SECOND_NS + HALF_MS
        end = entry + 600 * SECOND_NS
        window = merged.filter(pl.col("ts").is_between(entry - 60 * SECOND_NS, end))
        limit, want = reference(window.rows(), entry, is_buy=side == "buy", quantity=2_000.0)
        got = executed(window, entry, side, limit)
        assert got == [(ts, Decimal(size), Decimal(cents) / 100) for ts, size, cents in want]
        filled += len(got)
    assert filled >= 10


def executed(
    window: pl.DataFrame, entry: int, side: str, limit: int
) -> list[tuple[int, Decimal, Decimal]]:
    """Fills of one order by the flow, in runs of quotes and of trades."""
    trader = Trader()
    ordered = False
    for (_,), run in window.with_columns(
        run=(
            pl.col("is_trade").ne(pl.col("is_trade").shift(1))
            | (pl.col("ts") > entry).ne((pl.col("ts") > entry).shift(1))
        )
        .fill_null(value=True)
        .cum_sum()
    ).group_by("run", maintain_order=True):
        if not ordered and run["ts"][0] > entry:
            ordered = True
            trader.seconds = (entry - OPEN_NS) / SECOND_NS
            trader.order("o", side, quantity=2_000, limit_price=Decimal(limit) / 100)
        frame = run.with_columns(symbol=pl.lit("AIG"), ts_event=pl.col("ts"), ts_recv=pl.col("ts"))
        if run["is_trade"][0]:
            frame = frame.with_columns(
                updates_high_low=True, updates_last=True, updates_volume=True, action=pl.lit("new")
            )
            trader.take(TRADES, frame.to_dicts())
        else:
            frame = frame.with_columns(condition=pl.lit("1;best"))
            trader.take(QUOTES, frame.to_dicts())
    for row in trader.out["executions"]:
        assert plain(row)[3] == "added"
    return [
        (row["ts_event"].value, row["quantity"], row["price"]) for row in trader.out["executions"]
    ]


def test_a_whole_day_in_any_cut_and_after_a_restart_gives_the_same_fills(shared: Path) -> None:
    quotes = day(shared, "aig", "quote").filter(pl.col("ts") < OPEN_NS + 1_800 * SECOND_NS)
    trades = day(shared, "aig", "trade").filter(pl.col("ts") < OPEN_NS + 1_800 * SECOND_NS)
    found = []
    for cut in (1_800, 60, 7):
        trader = Trader(smart_routing=True)
        opened = quotes.filter(pl.col("ts") < OPEN_NS + SECOND_NS)
        feed(trader, QUOTES, opened)
        trader.seconds = 1.0
        for at in range(40):
            trader.order(f"m{at}", "buy" if at % 2 else "sell", quantity=100 + at)
            price = f"{49 + at / 100 - 0.2:.2f}"
            trader.order(f"l{at}", "buy" if at % 3 else "sell", limit_price=price, quantity=300)
        trader.order("t", quantity=5_000, algorithm="twap")
        for begin in range(0, 1_800, 60):
            for topic, frame in ((QUOTES, quotes), (TRADES, trades)):
                part = frame.filter(
                    pl.col("ts").is_between(
                        OPEN_NS + max(begin, 1) * SECOND_NS,
                        OPEN_NS + (begin + 60) * SECOND_NS,
                        closed="left",
                    )
                )
                for first in range(0, part.height, max(part.height * cut // 1_800, 1)):
                    feed(trader, topic, part.slice(first, max(part.height * cut // 1_800, 1)))
            if cut != 1_800:
                trader.resume()
        found.append(trader.out)
    assert len(found[0]["executions"]) > 50
    assert found[1] == found[0]
    assert found[2] == found[0]
