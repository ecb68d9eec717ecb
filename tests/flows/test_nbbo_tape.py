"""The best bid and offer of AIG, BAC and IBM, 7 to 9 October 2013: equal to the tape's own, and how it crosses.

The files hold the rows of the tape's processor, the best bid and the best ask with the exchange of each. What is
crossed in them the processor itself told so: two exchanges' quotes, each in force, on their way to one
another. By the table below that were 82 episodes in nine stock-days of six and a half hours, 4.0 s in all,
61 of them of 3 ms or less, and none in BAC; 66 are crossed by a cent, none by more than five. The eight
of 100 ms and more are listed with the exchanges. In each, the quote on one side stayed while the other side's
changed: W (CBOE Stock Exchange) at the opening of 9 October was slow to take its ask back; the
others are of N, Q and Z, in seconds in which the price moved.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.taq import Taq
from flows.flow import Emit
from flows.nbbo import Nbbo, NbboParams
from tests.flows.trades import rows_of

DATES = ("20131007", "20131008", "20131009")
LOCAL = pl.col("ts_event").dt.convert_time_zone("America/New_York").dt.time()
REGULAR = pl.col("local").is_between(pl.time(9, 30), pl.time(16, 0), closed="left")
SIDES = ("bid", "ask")

# In regular hours: crossed episodes, ms crossed in all, ms of the longest, ms locked.
CROSSED = {
    ("aig", "20131007"): (11, 792, 427, 69_098),
    ("aig", "20131008"): (18, 200, 112, 118_252),
    ("aig", "20131009"): (7, 1906, 1521, 172_428),
    ("bac", "20131007"): (0, 0, 0, 5_597),
    ("bac", "20131008"): (0, 0, 0, 66_669),
    ("bac", "20131009"): (0, 0, 0, 117_240),
    ("ibm", "20131007"): (18, 215, 191, 1_172),
    ("ibm", "20131008"): (15, 65, 26, 4_283),
    ("ibm", "20131009"): (13, 804, 548, 1_826),
}

# Of 100 ms and more: from when on, ms, exchanges of the bid, of the ask, cents.
LONG = {
    ("aig", "20131007"): [
        ("09:55:00.433", 354, "Q/Z", "N", 1),
        ("11:20:50.315", 427, "P/Q/Z", "N", 1),
    ],
    ("aig", "20131008"): [("09:42:50.020", 112, "N", "Q/Z", 1)],
    ("aig", "20131009"): [
        ("09:30:07.710", 1521, "N/P", "W", 2),
        ("15:51:00.363", 378, "Q/Z", "N", 2),
    ],
    ("ibm", "20131007"): [("09:49:29.106", 191, "Q", "N", 1)],
    ("ibm", "20131009"): [
        ("12:32:50.067", 548, "N", "Q/Z", 1),
        ("13:51:16.786", 173, "N", "Q", 1),
    ],
}


def tape(shared: Path, symbol: str, date: str) -> list[pa.RecordBatch]:
    """One day of one symbol as the feed reads it."""
    path = shared / f"ticks/us_equity_taq/{symbol}/{date}_quote.zip"
    [source] = Taq(VENDOR).open(probe(path), 4 << 20)
    return [block.rows.batch for block in source.blocks()]


def best_of(batches: list[pa.RecordBatch]) -> pl.DataFrame:
    """What the flow makes of them, with the time in New York and how long each row stood, in ms."""
    flow = Nbbo(NbboParams(), None)
    rows = pl.concat(
        pl.DataFrame(one.batch)
        for batch in batches
        for one in flow.on_rows(rows_of(batch))
        if isinstance(one, Emit)
    )
    stood = (pl.col("ts_event").shift(-1) - pl.col("ts_event")).dt.total_milliseconds()
    return rows.with_columns(local=LOCAL, stood=stood)


def told_by_the_tape(batches: list[pa.RecordBatch]) -> pl.DataFrame:
    """The best at the end of each moment of regular hours, by Polars: the last row of each side."""
    rows = pl.concat(pl.DataFrame(batch) for batch in batches)
    told = rows.filter(pl.col("condition").cast(pl.String).is_in(["1;best", "800;best"]))
    sides = [
        value.alias(name).forward_fill()
        for side in SIDES
        for name, value in (
            (side, pl.col(side)),
            (f"{side}_size", pl.col(f"{side}_size")),
            (f"{side}_venues", pl.when(pl.col(side).is_not_null()).then("venue").cast(pl.String)),
        )
    ]
    filled = told.select("ts_event", *sides, local=LOCAL).filter(REGULAR)
    return filled.group_by("ts_event", maintain_order=True).last().drop("local")


@pytest.mark.shared
@pytest.mark.parametrize(("symbol", "date"), list(CROSSED))
def test_it_is_the_tapes_own_and_crossed_for_stated_moments_only(
    shared: Path, symbol: str, date: str
) -> None:
    batches = tape(shared, symbol, date)
    best = best_of(batches)
    assert best["ts_event"].is_sorted()
    assert best["number"].to_list() == list(range(1, best.height + 1))
    want = told_by_the_tape(batches)
    last = best.group_by("ts_event", maintain_order=True).last()
    got = want.select("ts_event").join_asof(last, on="ts_event")
    assert got.select(want.columns).cast(dict(want.schema)).equals(want)

    day = best.filter(REGULAR)
    episodes = (
        day.with_columns(episode=(pl.col("state") != "crossed").cum_sum())
        .filter(pl.col("state") == "crossed")
        .group_by("episode", maintain_order=True)
        .agg(
            pl.col("local").first(),
            pl.col("stood").sum(),
            *(pl.col(f"{side}_venues").cast(pl.String).unique().sort() for side in SIDES),
            cents=((pl.col("bid").max() - pl.col("ask").min()) * 100).round().cast(pl.Int64),
        )
    )
    stood = episodes["stood"].to_list()
    locked = day.filter(pl.col("state") == "locked")["stood"].sum()
    assert (len(stood), sum(stood), max(stood, default=0), locked) == CROSSED[symbol, date]
    # No exchange crosses its own market.
    assert all(not {*bids} & {*asks} for bids, asks in episodes.select("^.*_venues$").rows())
    assert [
        (
            f"{begun:%H:%M:%S}.{begun.microsecond // 1000:03}",
            ms,
            "/".join(bids),
            "/".join(asks),
            cents,
        )
        for _, begun, ms, bids, asks, cents in episodes.filter(pl.col("stood") >= 100).rows()
    ] == LONG.get((symbol, date), [])


@pytest.mark.shared
def test_taken_as_standing_quotes_of_each_exchange_the_files_would_be_crossed_all_day(
    shared: Path,
) -> None:
    """Why the feed says of each row that it is the tape's best."""
    plain = [
        batch.set_column(batch.schema.get_field_index("condition"), "condition", _without(batch))
        for batch in tape(shared, "ibm", DATES[0])
    ]
    day = best_of(plain).filter(REGULAR)
    crossed = day.filter(pl.col("state") == "crossed")["stood"].sum()
    assert crossed / day["stood"].sum() > 0.99


def _without(batch: pa.RecordBatch) -> pa.Array:
    codes = batch.column("condition").dictionary_decode().to_pylist()
    return pa.array([code.replace(";best", "") for code in codes]).dictionary_encode()
