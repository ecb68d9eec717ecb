"""Sides, spreads and impacts of trades: by their rules one by one, and on real ticks against Polars."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.taq import Taq
from connectors.records import watermarks_batch
from flows.engines.stepper import Stepper
from flows.flow import Emit
from flows.trade_signs import TradeSigns, TradeSignsParams
from schemas.market import TRADES
from schemas.nbbo import NBBO
from tests.conformity.workload import Piece, segments
from tests.flows.test_nbbo_tape import best_of, tape
from tests.flows.trades import constant

SECOND = 10**9
NOON = 1_381_161_600 * SECOND
MINUTE = 60 * SECOND

Trade = tuple[float, float, float]  # seconds after noon, price, size
Best = tuple[float, float | None, float | None]  # seconds after noon, bid, ask


def trades_batch(trades: list[Trade], **columns: object) -> pa.RecordBatch:
    """Trades of one symbol."""
    n = len(trades)
    times = np.array([NOON + round(t[0] * SECOND) for t in trades], dtype=np.int64)
    flags = np.ones(n, dtype=bool)
    given = {
        "symbol": constant("K", n),
        "venue": constant("N", n),
        "ts_event": times,
        "ts_recv": times,
        "price": np.array([t[1] for t in trades]),
        "size": np.array([t[2] for t in trades]),
        "updates_high_low": flags,
        "updates_last": flags,
        "updates_volume": flags,
        "action": constant("new", n),
    }
    return TRADES.batch(given | columns)


def best_batch(bests: list[Best]) -> pa.RecordBatch:
    """Best bids and offers of one symbol."""
    n = len(bests)
    return NBBO.batch(
        {
            "symbol": constant("K", n),
            "ts_event": np.array([NOON + round(b[0] * SECOND) for b in bests], dtype=np.int64),
            "number": np.arange(1, n + 1),
            "bid": pa.array([b[1] for b in bests], pa.float64()),
            "ask": pa.array([b[2] for b in bests], pa.float64()),
            "state": constant("normal", n),
        }
    )


def carried(
    trades: pa.RecordBatch,
    bests: pa.RecordBatch,
    params: TradeSignsParams,
    *,
    end: float = 1e6,
    cut: int | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The signs and impacts that a flow gives, after a watermark row at the end of both inputs."""
    key = str(trades.column("symbol")[0])
    mark = watermarks_batch([key], np.array([NOON + round(end * SECOND)]))
    pieces = [Piece(1, bests), Piece(0, trades)]
    pieces += [Piece(at, mark, is_watermarks=True) for at in (0, 1)]
    stepper = Stepper(TradeSigns, params)
    found: dict[str, list[pl.DataFrame]] = {"trade_signs": [], "trade_impacts": []}
    for one in segments(TradeSigns, pieces, cut):
        for out in stepper.take(one):
            if isinstance(out, Emit):
                found[out.topic.name].append(pl.DataFrame(out.batch))
    signs, impacts = (pl.concat(frames) if frames else pl.DataFrame() for frames in found.values())
    return signs, impacts


def sides(trades: list[Trade], bests: list[Best], **params: object) -> list[tuple]:
    """Side, rule and side by the tick rule of each trade."""
    signs, _ = carried(trades_batch(trades), best_batch(bests), TradeSignsParams(**params))
    return signs.select("side", "rule", "tick_side").rows()


def test_trades_off_the_middle_follow_the_quotes_and_those_at_it_the_last_change_of_price() -> None:
    trades = [(1, 10.2, 1), (2, 10.0, 1), (3, 10.1, 1), (4, 10.1, 1), (5, 10.3, 1), (6, 10.1, 1)]
    assert sides(trades, [(0, 10.0, 10.2)]) == [
        ("buy", "quote", None),
        ("sell", "quote", "sell"),
        ("buy", "tick", "buy"),
        ("buy", "tick", "buy"),
        ("buy", "quote", "buy"),
        ("sell", "tick", "sell"),
    ]


def test_a_price_at_the_middle_is_at_it_whatever_doubles_make_of_the_sum() -> None:
    """A middle in decimals is in one case of four not half of the doubles' sum."""
    wrong = 0
    for cents in range(1, 3_000, 7):
        bid, ask, price = cents / 100, (cents + 1) / 100, (2 * cents + 1) / 200
        wrong += (bid + ask) / 2 != price
        first, second, third = sides(
            [(1, ask, 1), (2, price, 1), (3, price * 1.0001, 1)], [(0, bid, ask)]
        )
        assert first == ("buy", "quote", None)
        assert second == ("sell", "tick", "sell")
        assert third[:2] == ("buy", "quote")
    assert wrong > 50


@pytest.mark.parametrize("best", [(10.0, None), (None, 10.2), (None, None), (10.3, 10.2)])
def test_without_a_middle_the_tick_rule_says_and_no_spread_is_given(
    best: tuple[float | None, float | None],
) -> None:
    trades = [(1, 10.2, 1), (2, 10.4, 1)]
    signs, impacts = carried(trades_batch(trades), best_batch([(0, *best)]), TradeSignsParams())
    assert signs["side"].to_list() == [None, "buy"]
    assert signs["rule"].to_list() == [None, "tick"]
    assert signs.select("mid", "quoted_spread", "effective_spread").null_count().row(0) == (2, 2, 2)
    assert signs.select("bid", "ask").row(0) == best
    assert impacts["status"].to_list() == ["no_side", "no_quote_before"]


def test_a_quote_of_the_trades_own_moment_comes_too_late_for_it() -> None:
    bests = [(0, 10.0, 10.2), (1, 10.2, 10.4)]
    assert sides([(1, 10.2, 1), (1.001, 10.2, 1)], bests) == [
        ("buy", "quote", None),
        ("sell", "quote", None),
    ]


def test_with_a_lag_the_quotes_are_those_of_before_it() -> None:
    bests = [(0, 10.0, 10.2), (1, 10.2, 10.4), (2, 10.4, 10.6)]
    signs, _ = carried(
        trades_batch([(0.5, 10.2, 1), (2, 10.2, 1), (2.001, 10.2, 1), (3.5, 10.2, 1)]),
        best_batch(bests),
        TradeSignsParams(lag=SECOND),
    )
    assert signs["bid"].to_list() == [None, 10.0, 10.2, 10.4]
    assert signs["ts_quote"].to_physical().to_list() == [
        None,
        *(NOON + t * SECOND for t in range(3)),
    ]
    assert signs["fault"].null_count() == 4


def test_more_quotes_within_the_lag_than_are_kept_are_a_fault_of_the_trade() -> None:
    bests = [(0.1 * at, 10.0 + at, 11.0 + at) for at in range(5)]
    signs, _ = carried(
        trades_batch([(0.9, 10.2, 1), (1.15, 10.2, 1), (1.25, 10.2, 1)]),
        best_batch(bests),
        TradeSignsParams(lag=SECOND, max_young=2),
    )
    # The quotes of 0.0, 0.1 and 0.2 s had to go before their lag was over.
    assert signs["fault"].to_list() == ["lag_queue_full", "lag_queue_full", None]
    assert signs["bid"].to_list() == [12.0, 12.0, 12.0]


def test_what_became_of_the_price_is_told_when_the_horizon_is_over() -> None:
    bests = [(0, 10.0, 10.2), (61, 10.2, 10.4), (61.5, 10.6, 10.8)]
    given = trades_batch([(1, 10.2, 100), (1.5, 10.0, 50)]), best_batch(bests)
    signs, impacts = carried(*given, TradeSignsParams(horizon=MINUTE))
    assert signs["effective_spread"].to_list() == pytest.approx([0.2, 0.2])
    # A quote of the very end of the horizon counts.
    assert impacts["ts_event"].to_physical().to_list() == [
        NOON + 61 * SECOND,
        NOON + 61_500_000_000,
    ]
    assert impacts["mid_after"].to_list() == pytest.approx([10.3, 10.7])
    assert impacts["realized_spread"].to_list() == pytest.approx([-0.2, 1.4])
    assert impacts["price_impact"].to_list() == pytest.approx([0.4, -1.2])
    assert impacts["status"].to_list() == ["measured"] * 2
    early, none = carried(*given, TradeSignsParams(horizon=MINUTE), end=61)
    assert (early.height, none.height) == (2, 0)
    _, one = carried(*given, TradeSignsParams(horizon=MINUTE), end=61.4)
    assert one.height == 1


def test_without_a_middle_at_the_end_the_row_says_so() -> None:
    bests = [(0, 10.0, 10.2), (30, None, 10.4)]
    _, impacts = carried(
        trades_batch([(1, 10.2, 1)]), best_batch(bests), TradeSignsParams(horizon=MINUTE)
    )
    assert impacts["status"].to_list() == ["no_quote_after"]
    assert impacts.select("realized_spread", "price_impact", "mid_after").row(0) == (None,) * 3


def test_a_full_queue_of_waiting_trades_is_told_at_once_and_takes_no_other_trades_place() -> None:
    trades = [(at, 10.2, 1) for at in range(1, 6)] + [(62.5, 10.2, 1)]
    signs, impacts = carried(
        trades_batch(trades),
        best_batch([(0, 10.0, 10.2)]),
        TradeSignsParams(horizon=MINUTE, max_waiting=2),
    )
    assert signs.height == impacts.height == 6
    found = impacts.select("number", "status", pl.col("ts_event").to_physical()).rows()
    assert [(n, s, (t - NOON) / SECOND) for n, s, t in found] == [
        (3, "queue_full", 3),
        (4, "queue_full", 4),
        (5, "queue_full", 5),
        (1, "measured", 61),
        (2, "measured", 62),
        (6, "measured", 122.5),
    ]
    assert impacts["ts_event"].is_sorted()


def test_corrections_and_trades_that_do_not_count_are_not_signed() -> None:
    trades = [(1, 10.2, 1), (2, 10.0, 1), (3, 10.3, 1)]
    batch = trades_batch(
        trades,
        action=pa.array(["new", "correct", "new"]).dictionary_encode(),
        ref_trade_id=pa.array([None, "1", None]),
        updates_volume=np.array([True, True, False]),
        updates_last=np.array([False, True, True]),
    )
    for which, prices in (("volume", [10.2]), ("last", [10.3]), ("all", [10.2, 10.3])):
        signs, _ = carried(batch, best_batch([(0, 10.0, 10.2)]), TradeSignsParams(trades=which))
        assert signs["price"].to_list() == prices


def test_waiting_trades_of_many_keys_grow_the_pool_and_survive_a_restart() -> None:
    n = 5_000
    rng = np.random.default_rng(5)
    names = pa.array([f"K{at}" for at in rng.integers(0, 300, n)])
    batch = trades_batch(
        [(at / 100, 10.0 + at % 7, 1.0) for at in range(n)], symbol=names.dictionary_encode()
    )
    keys = sorted(set(names.to_pylist()))
    marks = [
        Piece(at, watermarks_batch(keys, np.full(len(keys), NOON + end)), is_watermarks=True)
        for end in (100 * SECOND, 1_000 * SECOND)
        for at in (0, 1)
    ]
    whole: dict[bool, list[tuple]] = {}
    for restart in (False, True):
        stepper = Stepper(TradeSigns, TradeSignsParams())
        rows: list[tuple] = []
        for one in segments(TradeSigns, [Piece(0, batch), *marks], 977):
            for out in stepper.take(one):
                if isinstance(out, Emit) and out.topic.name == "trade_impacts":
                    rows += pl.DataFrame(out.batch).rows()
            if restart:
                stepper = Stepper(TradeSigns, TradeSignsParams(), stepper.snapshot())
        whole[restart] = rows
    assert whole[True] == whole[False]
    assert len(whole[True]) == n


@pytest.mark.shared
@pytest.mark.parametrize("lag_ms", [0, 7])
def test_on_real_ticks_all_is_what_polars_finds_with_its_as_of_joins(
    shared: Path, lag_ms: int
) -> None:
    path = shared / "ticks/us_equity_taq/ibm/20131008_trade.zip"
    [source] = Taq(VENDOR).open(probe(path), 4 << 20)
    [trades] = (
        pa.Table.from_batches([b.rows.batch for b in source.blocks()]).combine_chunks().to_batches()
    )
    best = best_of(tape(shared, "ibm", "20131008"))
    params = TradeSignsParams(lag=lag_ms * 1_000_000)
    columns = {name: best[name].to_arrow() for name in NBBO.schema.names}
    signs, impacts = carried(trades, NBBO.batch(columns), params, end=2e5, cut=10_000)
    want = by_polars(pl.DataFrame(trades), best, lag_ms)
    assert signs.height == impacts.height == want.height > 30_000
    for name in (
        "bid",
        "ask",
        "mid",
        "side",
        "rule",
        "tick_side",
        "quoted_spread",
        "effective_spread",
    ):
        got = signs[name].cast(pl.String) if name in ("side", "rule", "tick_side") else signs[name]
        assert got.equals(want[name]), name
    for name in ("mid_after", "realized_spread", "price_impact"):
        assert impacts[name].equals(want[name]), name
    # Most trades of the regular session are at or outside the quotes.
    assert (signs["rule"] == "quote").mean() > 0.8


def by_polars(trades: pl.DataFrame, best: pl.DataFrame, lag_ms: int) -> pl.DataFrame:
    """The same by as-of joins: strictly before trade and lag, and up to the end of the horizon."""
    last = best.group_by("ts_event", maintain_order=True).last().select("ts_event", "bid", "ask")
    bid, ask, price = pl.col("bid"), pl.col("ask"), pl.col("price")
    middle = pl.when(bid <= ask).then((bid + ask) / 2)
    counted = trades.filter("updates_volume").select("ts_event", "price")
    before = counted.with_columns(
        at=pl.col("ts_event") - pl.duration(milliseconds=lag_ms, time_unit="ns")
    ).join_asof(last, left_on="at", right_on="ts_event", allow_exact_matches=False)
    moved = price.diff().sign()
    tick = pl.when(moved != 0).then(moved).forward_fill()
    away = price - pl.col("mid")
    # Cents, and the doubles nearest to them.
    by_quote = pl.when(away.abs() > 1e-9).then(away.sign()).otherwise(0.0)
    signed = before.with_columns(mid=middle, tick=tick).with_columns(
        d=pl.when(by_quote != 0).then(by_quote).otherwise(pl.col("tick"))
    )
    end = pl.col("ts_event") + pl.duration(minutes=5, time_unit="ns")
    after = (
        signed.select(at=end)
        .join_asof(last, left_on="at", right_on="ts_event")
        .select(mid_after=middle)
    )
    d, mid, mid_after = pl.col("d"), pl.col("mid"), pl.col("mid_after")

    def named(sign: pl.Expr) -> pl.Expr:
        return pl.when(sign > 0).then(pl.lit("buy")).when(sign < 0).then(pl.lit("sell"))

    return signed.hstack(after).with_columns(
        side=named(d),
        tick_side=named(pl.col("tick")),
        rule=pl.when(by_quote.fill_null(0) != 0)
        .then(pl.lit("quote"))
        .when(d.is_not_null())
        .then(pl.lit("tick")),
        quoted_spread=pl.when(mid.is_not_null()).then(ask - bid),
        effective_spread=2.0 * d * (price - mid),
        realized_spread=2.0 * d * (price - mid_after),
        price_impact=2.0 * d * (mid_after - mid),
    )
