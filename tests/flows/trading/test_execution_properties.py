"""What holds of executions whatever the market does and whatever is ordered."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.execution import Execution, ExecutionParams
from flows.flow import Emit
from flows.trading import desk
from schemas.market import QUOTES
from schemas.strategies import batches
from tests.flows.trading.executing import CLOSE_NS, OPEN_NS, SECOND_NS, Trader
from tests.flows.trading.executing import given as as_rows

CENTS = st.integers(995, 1_005)
SIZES = st.sampled_from([0, 100, 100, 200, 500])
VENUES = st.sampled_from(["N", "Q"])


def price(cents: int) -> float:
    return cents / 100


@st.composite
def quotes(draw: st.DrawFn) -> dict[str, Any]:
    bid = draw(CENTS)
    ask = bid + draw(st.integers(-1, 4))
    return {
        "what": "quote",
        "venue": draw(VENUES),
        "bid": price(bid),
        "bid_size": draw(SIZES),
        "ask": price(ask),
        "ask_size": draw(SIZES),
    }


TRADES = st.fixed_dictionaries(
    {
        "what": st.just("trade"),
        "venue": VENUES,
        "price": CENTS.map(price),
        "size": st.sampled_from([50, 100, 700]),
        "side": st.sampled_from(["buy", "sell", None]),
    }
)


def orders(
    venues: list[str | None], algorithms: list[str | None]
) -> st.SearchStrategy[dict[str, Any]]:
    cents = CENTS.map(lambda cents: f"{cents / 100:.2f}")
    return st.fixed_dictionaries(
        {
            "what": st.just("order"),
            "side": st.sampled_from(["buy", "sell", "sell_short"]),
            "order_type": st.sampled_from(
                ["market", "limit", "limit", "stop", "stop_limit", "trailing_stop", "pegged"]
            ),
            "quantity": st.sampled_from([1, 100, 350, 1_000]),
            "limit_price": cents,
            "stop_price": cents,
            "trail_amount": st.just("0.02"),
            "peg": st.sampled_from(["primary", "market", "mid"]),
            "peg_offset": st.sampled_from(["0", "0.01", "-0.01"]),
            "display_quantity": st.sampled_from([None, 100]),
            "time_in_force": st.sampled_from(["day", "gtc", "ioc", "fok", "at_close"]),
            "venue": st.sampled_from(venues),
            "algorithm": st.sampled_from(algorithms),
        }
    )


CHANGES = st.fixed_dictionaries(
    {
        "what": st.sampled_from(["cancel", "replace", "replace"]),
        "order": st.integers(0, 9),
        "quantity": st.sampled_from([50, 100, 900]),
        "limit_price": CENTS.map(lambda cents: f"{cents / 100:.2f}"),
    }
)


def steps(
    venues: list[str | None], algorithms: list[str | None]
) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.one_of(quotes(), quotes(), TRADES, orders(venues, algorithms), CHANGES)
    return st.lists(one, min_size=5, max_size=40)


def act(trader: Trader, at: int, step: dict[str, Any], ordered: list[dict[str, Any]]) -> list[Any]:
    """One step a tenth of a second after the last; the fills that it causes."""
    trader.at(1 + at / 10)
    values = {name: value for name, value in step.items() if name != "what"}
    if step["what"] == "quote":
        return trader.quote(**values)
    if step["what"] == "trade":
        return trader.trade(**values)
    if step["what"] == "order":
        ordered.append(step)
        return trader.order(f"o{len(ordered) - 1}", **values)
    if not ordered:
        return []
    number = values.pop("order") % len(ordered)
    if step["what"] == "cancel":
        return trader.cancel(f"o{number}")
    old = {name: value for name, value in ordered[number].items() if name != "what"}
    return trader.replace(f"o{number}", **(old | values))


SETTINGS = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def check_orders(trader: Trader, ordered: list[dict[str, Any]]) -> None:
    """No fill is worse than any limit that the order had, and no order is filled beyond what it asked for."""
    limits: dict[str, list[Decimal]] = defaultdict(list)
    asked = {f"o{at}": Decimal(one["quantity"]) for at, one in enumerate(ordered)}
    for at, one in enumerate(ordered):
        if one["order_type"] in ("limit", "stop_limit", "pegged"):
            limits[f"o{at}"].append(Decimal(one["limit_price"]))
    for row in trader.out["order_reports"]:
        if row["report"] == "replaced":
            asked[row["order_id"]] = max(asked[row["order_id"]], row["quantity"])
            if row["limit_price"] is not None:
                limits[row["order_id"]].append(row["limit_price"])
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for row in trader.out["executions"]:
        order_id = row["order_id"]
        filled[order_id] += row["quantity"]
        if limits[order_id] and row["side"] == "buy":
            assert row["price"] <= max(limits[order_id])
        elif limits[order_id]:
            assert row["price"] >= min(limits[order_id])
    assert all(quantity <= asked[order_id] for order_id, quantity in filled.items())


def check_numbers(trader: Trader) -> None:
    """Reports and fills are numbered without gaps; nothing is told of an order that has ended but refusals."""
    numbers: dict[str, int] = defaultdict(int)
    ended: set[str] = set()
    for row in trader.out["order_reports"]:
        numbers[row["order_id"]] += 1
        assert row["sequence"] == numbers[row["order_id"]]
        if row["order_id"] in ended:
            assert row["report"] in ("cancel_rejected", "replace_rejected")
        if row["report"] in ("cancelled", "expired", "rejected"):
            ended.add(row["order_id"])
    fills: dict[str, int] = defaultdict(int)
    for row in trader.out["executions"]:
        fills[row["order_id"]] += 1
        assert row["execution_id"] == f"{row['order_id']}-1-{fills[row['order_id']]}"


@SETTINGS
@given(steps([None, "PAPER"], [None]))
def test_fills_never_exceed_what_is_displayed_and_traded(script: list[dict[str, Any]]) -> None:
    trader = Trader()
    ordered: list[dict[str, Any]] = []
    # Displayed at each venue and side, and what fills took of it since it was told.
    displayed: dict[tuple[str, str], tuple[float, float]] = {}
    room = Decimal(0)
    for at, step in enumerate(script):
        traded = Decimal(0)
        if step["what"] == "quote":
            for side in ("bid", "ask"):
                new = (step[side], step[f"{side}_size"])
                if displayed.get((step["venue"], side)) != new:
                    room += Decimal(new[1])
                displayed[step["venue"], side] = new
        if step["what"] == "trade":
            traded = Decimal(step["size"])
        filled = sum((row["quantity"] for row in act(trader, at, step, ordered)), Decimal(0))
        # A trade fills what waits for it, and sets off stops, which take of what is displayed.
        room -= max(filled - traded, Decimal(0))
        assert room >= 0
    check_orders(trader, ordered)
    check_numbers(trader)


@SETTINGS
@given(
    steps([None, None, "N", "Q", "PAPER"], [None, None, "twap", "pov", "sniper", "iceberg"]),
    st.data(),
)
def test_orders_are_filled_within_their_terms_and_a_restart_changes_nothing(
    script: list[dict[str, Any]], data: st.DataObject
) -> None:
    trader, other = Trader(smart_routing=True), Trader(smart_routing=True)
    ordered: list[dict[str, Any]] = []
    restarts = data.draw(st.sets(st.integers(0, len(script)), max_size=4))
    also: list[dict[str, Any]] = []
    for at, step in enumerate(script):
        act(trader, at, step, ordered)
        if at in restarts:
            other.resume()
        act(other, at, step, also)
    for one in (trader, other):
        one.at(30_000).pass_time()
    check_orders(trader, ordered)
    check_numbers(trader)
    assert other.out == trader.out
    assert other.flow.snapshot() == trader.flow.snapshot()


@SETTINGS
@given(st.data())
def test_any_valid_row_is_taken_and_every_command_is_answered(data: st.DataObject) -> None:
    flow = Execution(ExecutionParams(), None)
    for _ in range(6):
        declared = data.draw(st.sampled_from(Execution.inputs))
        batch = data.draw(batches(declared.topic, max_rows=4))
        if not batch.num_rows:
            continue
        told = 0
        for one in flow.on_rows(as_rows(declared.topic, batch)):
            if isinstance(one, Emit):
                one.batch.validate(full=True)
                assert one.batch.schema.equals(one.topic.schema)
                told += one.batch.num_rows
        # A new order may wait; to every other command there is an answer at once.
        if declared.topic.name == "instructions" and "new" not in batch["action"].to_pylist():
            assert told >= batch.num_rows
        assert Execution(ExecutionParams(), flow.snapshot()).snapshot() == flow.snapshot()


def test_quotes_of_symbols_without_orders_leave_no_desk() -> None:
    trader = Trader()
    trader.at(1).quote(10.0, 100, 10.1, 100)
    before = trader.flow.snapshot()
    assert b"AIG" in before
    trader.order(quantity=10)
    trader.take(QUOTES, [])
    assert trader.fills == [("o", "10", "10.1", "removed")]


def test_a_desk_that_always_has_an_order_keeps_no_notes_of_those_that_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desk, "_MOST_IDLE_NOTES", 20)
    trader = Trader()
    trader.at(1).quote(10.00, 300, 10.02, 100_000)
    trader.order("stays", limit_price="9.00")
    trader.order("good", limit_price="9.50", time_in_force="gtd", ts_expire=trader.now + SECOND_NS)
    for at in range(300):
        trader.at(1 + at / 1_000).quote(10.00, 300 + at, 10.02, 100_000)
        trader.order(f"o{at}", quantity=1)
    (working,) = trader.flow._desks.values()
    assert len(working.agenda) <= 30
    trader.resume()
    trader.at(3).quote(10.00, 300, 10.02, 100)
    assert trader.reports[-1] == "good expired"
    trader.seconds = (CLOSE_NS - OPEN_NS) / SECOND_NS
    trader.quote(10.00, 300, 10.02, 100)
    assert trader.reports[-1] == "stays expired"
    assert len(trader.fills) == 300
