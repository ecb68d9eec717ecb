"""What is learned from the tape of a symbol's pace and of its venues, against plain references."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.trading.estimates import Estimates, whole_shares
from flows.trading.interfaces import ONE
from flows.trading.market import Seen
from flows.trading.routing import venue_model
from flows.trading.routing.venues import POOL
from schemas.market import QUOTES, TRADES
from tests.flows.trading.executing import OPEN_NS, SECOND_NS, Trader
from tests.flows.trading.test_execution_real import day, feed

_PRINT = {"price": 10.0, "size": 100.0, "updates_volume": True, "updates_last": True}
NYSE, NATIONAL = venue_model("N"), venue_model("C")
MINUTE_NS = 60 * SECOND_NS


def test_until_anything_is_seen_the_assumptions_hold() -> None:
    estimates = Estimates()
    assert estimates.conditions.volatility == pytest.approx(1e-4)
    assert estimates.conditions.volume_rate == pytest.approx(50)
    found = estimates.of(NYSE)
    assert (found.volume_share, found.hidden_share, found.traded) == pytest.approx((0.1, 0.16, 0))


def test_two_hundred_trades_weigh_as_much_as_the_assumption() -> None:
    """All of them at XNYS, half of their volume unseen: the mean of what was seen and what was assumed."""
    seen = Seen(prints=200, venues={"N": (20_000.0, 10_000.0)})
    found = Estimates(seen).of(NYSE)
    assert found.volume_share == pytest.approx((0.1 + 1.0) / 2)
    assert found.hidden_share == pytest.approx((0.16 + 0.5) / 2)
    assert Estimates(seen).of(NATIONAL).volume_share == pytest.approx(0.008 / 2)


@given(
    st.dictionaries(
        st.sampled_from("NQPCD"), st.tuples(st.floats(1, 1e9), st.floats(0, 1)), min_size=1
    ),
    st.floats(1, 1e7),
)
def test_an_estimate_is_between_what_was_assumed_and_what_was_seen(
    venues: dict[str, tuple[float, float]], prints: float
) -> None:
    seen = Seen(prints=prints, venues={k: (v, v * part) for k, (v, part) in venues.items()})
    total = sum(volume for volume, _ in venues.values())
    estimates = Estimates(seen)
    for code in "NQPC":
        model = venue_model(code)
        found = estimates.of(model)
        volume, part = venues.get(code, (0.0, model.hidden_share))
        for got, *ends in (
            (found.volume_share, model.volume_share, volume / total),
            (found.hidden_share, model.hidden_share, part),
        ):
            assert min(ends) - 1e-9 <= got <= max(ends) + 1e-9 or got == 0.99
    ratio, is_seen = estimates.midpoint_ratio(POOL)
    assert ratio > 0
    assert is_seen == (venues.get("D", (0, 0))[1] > 0)


def test_whole_shares_are_rounded_down() -> None:
    assert whole_shares(100 * ONE, 0.199) == 19 * ONE
    assert whole_shares(4 * ONE, 0.199) == 0


@dataclass
class Plain:
    """A row at a time, in dicts: what `flows.kernels.venue_activity` has in arrays."""

    now: int = 0
    minute: int = 0
    quotes: dict[str, tuple[float, float, float, float, int]] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    venues: dict[str, list[float]] = field(default_factory=dict)
    mid: tuple[float, int] = (0.0, 0)
    told: Seen = field(default_factory=Seen)

    def pass_time(self, time: int) -> None:
        self.now = max(self.now, time)
        minute = self.now // MINUTE_NS
        if minute <= self.minute:
            return
        if self.minute:
            self.sums["minutes"] = self.sums.get("minutes", 0.0) + min(minute - self.minute, 5)
        self.minute = minute
        self.told = Seen(
            minute=minute,
            **self.sums,
            venues={k: (v[0], v[1]) for k, v in self.venues.items() if v[0]},
        )
        for name in self.sums:
            self.sums[name] *= 1 - 1 / (390 if name == "prints" else 15)
        self.venues = {k: [one * (1 - 1 / 390) for one in v] for k, v in self.venues.items()}

    def quote(self, time: int, venue: str, values: tuple[float, float, float, float]) -> None:
        self.pass_time(time)
        self.quotes[venue] = (*values, time)
        bid, ask = self.best(self.now)
        middle = (bid + ask) / 2
        passed = self.now - self.mid[1]
        if passed < 10 * SECOND_NS or not (bid < ask and ask - bid <= 0.01 * middle):
            return
        if self.mid[0] and passed <= 60 * SECOND_NS:
            self.add("squares", math.log(middle / self.mid[0]) ** 2)
            self.add("seconds", passed / 1e9)
        self.mid = (middle, self.now)

    def trade(self, time: int, venue: str, price: float, size: float) -> None:
        self.pass_time(time)
        self.add("volume", size)
        self.add("prints", 1)
        bid, ask = self.best(time)
        unseen = 0.0
        if venue == "D":
            if bid < ask and abs(price - (bid + ask) / 2) <= 0.1 * (ask - bid):
                unseen = size
        elif venue in self.quotes:
            bid, bid_size, ask, ask_size, told = self.quotes[venue]
            if told <= time <= told + 300 * SECOND_NS and bid < ask:
                displayed = {bid: bid_size, ask: ask_size}.get(price)
                if bid < price < ask:
                    unseen = size
                elif displayed is not None:
                    unseen = max(size - displayed, 0.0)
        sums = self.venues.setdefault(venue, [0.0, 0.0])
        sums[0] += size
        sums[1] += unseen

    def best(self, time: int) -> tuple[float, float]:
        stands = [q for q in self.quotes.values() if q[4] <= time <= q[4] + 300 * SECOND_NS]
        return max((q[0] for q in stands), default=math.nan), min(
            (q[2] for q in stands), default=math.nan
        )

    def add(self, name: str, much: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + much


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 3.0, 11.0, 35.0, 70.0, 400.0]),
        st.sampled_from("NQD"),
        st.none() | st.tuples(st.integers(9_995, 10_005), st.integers(1, 9)),
        st.tuples(st.integers(9_990, 10_000), st.integers(9_999, 10_010), st.integers(1, 9)),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(_EVENTS, st.integers(0, 40))
def test_the_sums_are_those_of_a_plain_reference(events: list[tuple[Any, ...]], cut: int) -> None:
    """Cut and resumed anywhere."""
    trader, plain = Trader(), Plain()
    for at, (pause, venue, print_, (bid, ask, lots)) in enumerate(events):
        trader.at(trader.seconds + pause)
        if print_ is not None:
            price, size = print_
            trader.trade(price / 100, 100 * size, venue)
            plain.trade(trader.now, venue, price / 100, 100.0 * size)
        elif venue != "D":
            values = (bid / 100, 100.0 * lots, ask / 100, 300.0)
            trader.quote(*values, venue)
            plain.quote(trader.now, venue, values)
        else:
            trader.pass_time()
        if at == cut:
            trader.resume()
    tape = trader.flow._tape
    got = tape.seen(tape.slot("AIG"))
    assert got.minute == plain.told.minute
    for name in ("squares", "seconds", "volume", "minutes", "prints"):
        assert getattr(got, name) == pytest.approx(getattr(plain.told, name))
    assert {k: pytest.approx(v) for k, v in got.venues.items()} == plain.told.venues


def test_the_sums_outlive_more_venues_and_symbols_than_there_was_room_for() -> None:
    trader = Trader()
    names = [f"V{at}" for at in range(20)]
    for at, name in enumerate(names):
        trader.at(1 + at / 100).trade(10.0, 100 + at, name)
    for at in range(100):
        trader.market(TRADES, {"symbol": f"S{at}", "venue": "N", "action": "new"} | _PRINT)
    trader.resume()
    trader.at(61).trade(10.0, 100, "N")
    found = trader.flow._tape.seen(trader.flow._tape.slot("AIG")).venues
    assert {name: sums[0] for name, sums in found.items()} == {
        name: 100.0 + at for at, name in enumerate(names)
    }


def test_trades_of_auctions_and_averages_say_nothing_of_venues() -> None:
    trader = Trader()
    for conditions in ("40", "80", "100000"):
        trader.at(1).trade(10.0, 500, conditions=conditions)
    trader.at(61).trade(10.0, 100, updates_volume=False)
    trader.at(121).trade(10.0, 100)
    assert trader.flow._tape.seen(trader.flow._tape.slot("AIG")).venues == {}


@pytest.mark.shared
def test_the_parts_of_ibms_venues_and_its_pace_are_found_within_half_an_hour(shared: Path) -> None:
    """10:00 on 7 October 2013, against Polars over the same trades; older ones weigh a little less here."""
    end = OPEN_NS + 1_800 * SECOND_NS
    trader = Trader()
    quotes = day(shared, "ibm", "quote").filter(pl.col("ts") < end + MINUTE_NS)
    trades = day(shared, "ibm", "trade").filter(pl.col("ts") < end + MINUTE_NS)
    for second in range(-60, 1_860, 5):
        begin = 0 if second == -60 else OPEN_NS + second * SECOND_NS
        until = OPEN_NS + (second + 5) * SECOND_NS
        for topic, frame in ((QUOTES, quotes), (TRADES, trades)):
            feed(trader, topic, frame.filter(pl.col("ts").is_between(begin, until, closed="left")))
    tape = trader.flow._tape
    estimates = Estimates(tape.seen(tape.slot("AIG")))
    plain = trades.filter(
        (pl.col("ts") < end)
        & pl.col("updates_volume")
        & ~pl.col("conditions").cast(pl.String).str.to_integer(base=16).is_in([64, 128])
    )
    sizes = dict(plain.group_by("venue").agg(pl.col("size").sum()).rows())
    total = sum(sizes.values())
    for code in "NPTKZCX":
        model = venue_model(code)
        want = sum(sizes.get(name, 0.0) for name in model.tape) / total
        assert estimates.of(model).volume_share == pytest.approx(want, abs=0.02)
    opened = plain.filter(pl.col("ts") >= OPEN_NS)
    rate = opened["size"].sum() / 1_800
    assert estimates.conditions.volume_rate == pytest.approx(rate, rel=0.5)
    ticks = (
        trades.filter(pl.col("updates_last") & pl.col("ts").is_between(OPEN_NS, end))
        .group_by_dynamic(pl.col("ts_event"), every="1m")
        .agg(pl.col("price").last())
    )
    minutes = ticks["price"].log().diff().std()
    assert isinstance(minutes, float)
    assert estimates.conditions.volatility == pytest.approx(minutes / math.sqrt(60), rel=0.5)


def test_prices_and_sizes_that_are_no_markets_teach_nothing() -> None:
    """Sums of them would not be finite for ever after, and no order of the symbol could be routed."""
    trader = Trader(smart_routing=True)
    for second in range(0, 120, 20):
        large = second % 40 == 0
        price, size = (1.7e308, 1e308) if large else (5e-324, 5e-324)
        for venue in "NQC":
            trader.at(second).quote(price, 300, price * 1.005 if large else 1e-323, 300, venue)
            trader.trade(10.01, size, venue)
            trader.trade(price, 100, venue)
    trader.at(200).quote(10.00, 300, 10.02, 200)
    trader.order(quantity=100, limit_price="10.02")
    trader.at(201).quote(10.00, 300, 10.02, 210)
    assert sum(int(row["quantity"]) for row in trader.out["executions"]) == 100
    for row in trader.out["routing_decisions"]:
        assert math.isfinite(row["expected_cost"])
        assert "null" not in row["candidates"]


def test_what_is_left_of_trades_of_years_ago_is_no_size() -> None:
    found = Estimates(Seen(prints=5e-324, venues={"N": (1e-3, 0.0)})).of(NYSE)
    assert found.volume_share == pytest.approx(0.1, rel=1e-3)
