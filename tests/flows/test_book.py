"""Books against a plain event-by-event reference, in any cut, over restarts, with every fault there is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.book import Book, BookParams
from flows.flow import Emit, FlowError, Late
from schemas.book import FAULT_KINDS, RESOLUTIONS
from schemas.market import BOOK_EVENTS
from tests.flows.book_reference import Event, Mark, Reference
from tests.flows.trades import late_rows, parts_of, plain, rows_of, watermarks

MS = 1_000_000
START = 1_703_462_400_000 * MS
TICKS = (9.9, 10.0, 10.1, 10.2, 10.3)


def batch_of(events: Sequence[Event]) -> pa.RecordBatch:
    times = np.array([e.time for e in events], dtype=np.int64)
    text = {
        name: pa.array([getattr(e, name) for e in events], pa.string())
        for name in ("symbol", "venue", "action", "side", "state")
    }
    return BOOK_EVENTS.batch(
        {
            **text,
            "ts_event": times,
            "ts_recv": times,
            "order_id": pa.array([e.order_id for e in events], pa.uint64()),
            "price": pa.array([e.price for e in events], pa.float64()),
            "size": pa.array([e.size for e in events], pa.float64()),
            "sequence": pa.array([e.sequence for e in events], pa.uint64()),
            "is_last": np.array([e.is_last for e in events], dtype=bool),
        }
    )


class Run:
    """A book run over events in batches of a size, with or without restarts between them."""

    def __init__(
        self,
        events: Sequence[Event | Mark],
        params: BookParams,
        *,
        size: int = 1000,
        restart: bool = False,
    ) -> None:
        self.flow = Book(params, None)
        self.rows: list[tuple[Any, ...]] = []
        self.faults: list[tuple[Any, ...]] = []
        self.late: list[tuple[int, int, int]] = []
        for begin, part in parts_of(events, size):
            self._take(part, begin)
            if restart:
                state = self.flow.snapshot()
                self.flow = Book(params, state)
                assert self.flow.snapshot() == state

    def _take(self, part: Sequence[Any], begin: int) -> None:
        if isinstance(part[0], Mark):
            emitted = [
                e
                for mark in part
                for e in self.flow.on_watermark(watermarks([mark.symbol], [mark.time]))
            ]
        else:
            emitted = self.flow.on_rows(rows_of(batch_of(part), partition=3, offset=begin))
        for item in emitted:
            if isinstance(item, Late):
                assert item.used.all()
                self.late += [(begin + row, end, f) for row, _, end, f, _ in late_rows(item)]
                continue
            item.batch.validate(full=True)
            for row in plain(item.batch):
                if item.topic.name == "book_top":
                    self.rows.append(tuple(row.values()))
                else:
                    self.faults.append(self._fault(row, part, begin))

    def _fault(self, row: dict[str, Any], part: Sequence[Event], begin: int) -> tuple[Any, ...]:
        event = part[row["source_row"]]
        assert (row["source_partition"], row["source_offset"]) == (3, begin)
        for name in ("action", "order_id", "side", "price", "size", "sequence"):
            assert row[name] == getattr(event, name)
        assert row["ts_event"] == event.time
        at = begin + row["source_row"]
        names = ("number", "kind", "resolution", "known", "sequence_expected")
        return (row["symbol"], row["venue"], at, *(row[name] for name in names))


def reference(events: Sequence[Event | Mark], params: BookParams) -> Reference:
    found = Reference(
        params.depth, params.conflation_ms * MS, params.channel_venues, params.call_venues
    )
    for at, event in enumerate(events):
        if isinstance(event, Mark):
            found.mark(event)
        else:
            found.event(at, event)
    return found


def same(run: Run, expected: Reference) -> None:
    assert run.rows == expected.rows
    assert run.faults == expected.faults
    assert run.late == expected.late


ACTIONS = (
    ("add",) * 6
    + ("cancel", "execute", "modify", "level") * 2
    + BOOK_EVENTS.field("action").allowed
)

EVENT = st.builds(
    Event,
    symbol=st.sampled_from("AAB"),
    venue=st.sampled_from("XXY"),
    time=st.integers(-1500, 400),
    action=st.sampled_from(ACTIONS),
    order_id=st.sampled_from([None, 1, 2, 3, 4, 2**64 - 1]),
    side=st.sampled_from(["buy", "sell"] * 5 + [None]),
    price=st.sampled_from([*TICKS, *TICKS, None]),
    size=st.sampled_from([0.1, 0.2, 0.3, 0.7, 1.0, 5.0, 5.0, 1e9, 0.0, None]),
    state=st.sampled_from([None, "halted", "quoting", "trading"]),
    sequence=st.sampled_from([None, None, 0, 1, 2, 3]),
    is_last=st.sampled_from([True, True, False]),
)
MARK = st.builds(Mark, symbol=st.sampled_from("AB"), time=st.integers(-1000, 1500))


def _advance(drawn: list[Event | Mark]) -> list[Event | Mark]:
    # Times and sequence numbers go on, with jitter.
    found: list[Event | Mark] = []
    for at, event in enumerate(drawn):
        moved = event._replace(time=START + (event.time + 150 * at) * MS)
        if isinstance(moved, Event) and moved.sequence is not None:
            moved = moved._replace(sequence=moved.sequence + at)
        found.append(moved)
    return found


EVENTS = st.lists(st.one_of(*[EVENT] * 9, MARK), min_size=1, max_size=80).map(_advance)


@settings(max_examples=250)
@given(
    events=EVENTS,
    depth=st.sampled_from([1, 2, 3, 10]),
    conflation_ms=st.sampled_from([0, 0, 1, 1000]),
    channels=st.sampled_from([(), ("X",)]),
    calls=st.sampled_from([(), ("X",)]),
    size=st.sampled_from([1, 2, 7, 1000]),
    restart=st.booleans(),
)
def test_any_events_in_any_cut_give_what_the_plain_book_gives(
    events: list[Event | Mark],
    depth: int,
    conflation_ms: int,
    channels: tuple[str, ...],
    calls: tuple[str, ...],
    size: int,
    restart: bool,  # noqa: FBT001 - drawn
) -> None:
    params = BookParams(
        depth=depth, conflation_ms=conflation_ms, channel_venues=channels, call_venues=calls
    )
    run = Run(events, params, size=size, restart=restart)
    same(run, reference(events, params))
    assert run.flow.snapshot() == Run(events, params).flow.snapshot()


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_book_that_came_and_went_within_an_interval_has_no_row(size: int) -> None:
    came = Event("B", "Y", START, "add", None, "sell", TICKS[0], 0.1)
    events = [came, came._replace(action="cancel"), Mark("B", START + 2 * MS)]
    params = BookParams(depth=1, conflation_ms=1)
    run = Run(events, params, size=size)
    assert (run.rows, run.faults, run.late) == ([], [], [])
    same(run, reference(events, params))
    # One that stays has a row, and one more when it goes.
    events = [came, events[2], events[1]._replace(time=START + 3 * MS), Mark("B", START + 9 * MS)]
    run = Run(events, params, size=size)
    assert [(row[2] - START) / MS for row in run.rows] == [1, 4]
    same(run, reference(events, params))


def event(action: str, **what: Any) -> Event:
    return Event("A", "X", START, action, **what)


def add(id_: int, side: str, price: float, size: float, **what: Any) -> Event:
    return event("add", order_id=id_, side=side, price=price, size=size, **what)


def cancel(id_: int, side: str, price: float, size: float, **what: Any) -> Event:
    return event("cancel", order_id=id_, side=side, price=price, size=size, **what)


BID = add(1, "buy", 10.0, 5.0)
LEVEL = event("level", side="buy", price=10.0, size=8.0)

FAULTS = {
    "incomplete": ([BID, event("add", order_id=2, side="buy", price=9.9)], "ignored", None, 5.0),
    "unknown_order": ([BID, cancel(2, "buy", 10.0, 1.0)], "ignored", None, 5.0),
    "unknown_order, modified": (
        [event("modify", order_id=1, side="buy", price=10.0, size=3.0)],
        "added",
        None,
        3.0,
    ),
    "duplicate_order": ([BID, add(1, "buy", 10.0, 2.0)], "replaced", 5.0, 2.0),
    "oversized": ([BID, add(2, "buy", 10.0, 1.0), cancel(1, "buy", 10.0, 6.0)], "zeroed", 5.0, 1.0),
    "other_price": ([BID, cancel(1, "buy", 9.9, 1.0)], "own_price_kept", 10.0, 4.0),
    "other_side": ([BID, cancel(1, "sell", 10.0, 1.0)], "own_side_kept", 10.0, 4.0),
    "negative": ([BID, LEVEL, cancel(9, "buy", 10.0, 4.0)], "zeroed", None, 5.0),
    "sequence_gap": (
        [BID._replace(sequence=1), cancel(1, "buy", 10.0, 1.0, sequence=3)],
        "kept",
        None,
        4.0,
    ),
    "sequence_back": (
        [BID._replace(sequence=4), cancel(1, "buy", 10.0, 1.0, sequence=3)],
        "kept",
        None,
        4.0,
    ),
    "locked": ([BID, add(2, "sell", 10.0, 1.0)], "kept", 10.0, 5.0),
    "crossed": ([BID, add(2, "sell", 9.9, 1.0)], "kept", 10.0, 5.0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_is_told_and_resolved(name: str) -> None:
    events, resolution, known, bid_size = FAULTS[name]
    run = Run(events, BookParams())
    (fault,) = run.faults
    assert fault[4:7] == (name.partition(",")[0], resolution, known)
    assert run.rows[-1][6] == bid_size


def test_every_kind_of_fault_and_resolution_has_its_example() -> None:
    assert {name.partition(",")[0] for name in FAULTS} == set(FAULT_KINDS)
    assert {resolution for _, resolution, _, _ in FAULTS.values()} == set(RESOLUTIONS)


def test_a_fault_is_told_once_as_long_as_it_lasts() -> None:
    crossed = [BID, add(2, "sell", 9.9, 1.0), add(3, "sell", 9.9, 1.0), add(4, "buy", 9.8, 1.0)]
    assert [fault[4] for fault in Run(crossed, BookParams()).faults] == ["crossed"]
    again = [*crossed, cancel(1, "buy", 10.0, 5.0), BID]
    assert [fault[4] for fault in Run(again, BookParams()).faults] == ["crossed", "crossed"]


def test_a_book_may_cross_within_an_event_and_before_an_auction() -> None:
    cross = add(2, "sell", 9.9, 5.0)
    within = [BID, cross._replace(is_last=False), cancel(2, "sell", 9.9, 5.0)]
    assert not Run(within, BookParams()).faults
    halted = [event("halt", state="quoting"), BID, cross]
    assert not Run(halted, BookParams()).faults
    called = BookParams(call_venues=("X",))
    assert not Run([BID, cross], called).faults
    fill = event("fill", order_id=1, side="buy", price=10.0, size=1.0)
    auction = [fill._replace(is_last=False), cancel(1, "buy", 10.0, 5.0)]
    assert not Run([BID, cross, *auction], called).faults
    assert [fault[4] for fault in Run([BID, cross, fill], called).faults] == ["crossed"]


def test_sequence_numbers_of_a_channel_have_holes() -> None:
    events = [BID._replace(sequence=1), cancel(1, "buy", 10.0, 1.0, sequence=30)]
    assert not Run(events, BookParams(channel_venues=("X",))).faults


def test_a_level_taken_out_takes_its_orders_with_it() -> None:
    gone = [BID, LEVEL._replace(size=0.0), LEVEL, cancel(1, "buy", 10.0, 5.0)]
    run = Run(gone, BookParams())
    assert [row[6] for row in run.rows] == [5.0, None, 8.0, 3.0]
    assert not run.faults


def test_sizes_leave_no_rounding_behind() -> None:
    sizes = [0.1, 0.2, 1e9, 0.3, 1e-8]
    adds = [add(at, "buy", 10.0, size) for at, size in enumerate(sizes)]
    cancels = [cancel(at, "buy", 10.0, sizes[at]) for at in (2, 0, 3, 4)]
    parts = [cancel(1, "buy", 10.0, 0.1), cancel(1, "buy", 10.0, 0.1)]
    run = Run([*adds, *cancels, *parts], BookParams())
    assert [row[6] for row in run.rows[-3:]] == [0.2, 0.1, None]
    assert not run.faults


def test_what_is_too_large_for_a_number_is_null() -> None:
    sides = [add(1, "buy", 1e200, 1e200), add(2, "sell", 1.5e308, 1.7e308)]
    run = Run(
        [*sides, add(3, "sell", 1.5e308, 1.7e308), cancel(1, "buy", 1e200, 1e200)], BookParams()
    )
    for row in run.rows:
        assert all(np.isfinite(value) for value in row if isinstance(value, float))
    assert len(run.rows) == 4


def test_depth_says_how_many_levels_a_row_has() -> None:
    adds = [add(at, "buy", 10.0 - at / 10, 1.0 + at) for at in range(12)]
    for depth in (1, 3, 10):
        rows = Run(adds, BookParams(depth=depth)).rows
        assert len(rows) == depth
        sizes = [rows[-1][6 + 4 * level] for level in range(10)]
        assert sizes == [*(1.0 + at for at in range(depth)), *[None] * (10 - depth)]


def test_a_cleared_book_is_empty_and_its_rebuilding_is_no_flow() -> None:
    clear = event("clear", is_last=False)
    run = Run([BID, add(2, "buy", 10.0, 1.0), clear, add(1, "buy", 10.0, 9.0)], BookParams())
    assert [row[6] for row in run.rows] == [5.0, 6.0, 9.0]
    assert [row[-1] for row in run.rows] == [0.0, 1.0, 0.0]
    assert not run.faults


@pytest.mark.parametrize(
    ("params", "needs"),
    [
        ({"max_orders": 5}, "6 orders are more than max_orders = 5; raise the flow's max_orders"),
        ({"max_levels": 5}, "6 levels are more than max_levels = 5"),
        ({"max_books": 5}, "6 books are more than max_books = 5"),
        ({"max_keys": 5}, "key 'S5' is one more than max_keys = 5"),
    ],
)
def test_state_is_bounded_and_the_error_says_how_to_mend(
    params: dict[str, int], needs: str
) -> None:
    events = [
        add(at, "buy", 1.0 + at, 1.0)._replace(symbol=f"S{at}" if at < 6 else "S5")
        for at in range(8)
    ]
    with pytest.raises(FlowError, match=needs):
        Run(events, BookParams(**params))
    Run(events, BookParams(max_orders=8, max_levels=8, max_books=6, max_keys=6))


def test_orders_that_are_gone_count_no_more() -> None:
    """Ten times as many orders as may rest, of which never more than a tenth does."""
    events: list[Event] = []
    for at in range(10):
        events += [add(1000 * at + one, "buy", 10.0, 1.0) for one in range(1000)]
        events.append(event("clear") if at % 2 else LEVEL._replace(size=0.0))
    run = Run(events, BookParams(max_orders=1000))
    assert not run.faults


def test_many_books_orders_and_levels_are_those_of_the_plain_book() -> None:
    """More of each than there is room for at first, so that all of it grows and moves."""
    rng = np.random.default_rng(5)
    events: list[Event] = []
    for at in range(9000):
        side = ("buy", "sell")[int(rng.integers(2))]
        symbol, venue = f"S{rng.integers(7)}", f"V{rng.integers(6)}"
        price = float(rng.integers(1, 90)) / 8
        action = "add" if at < 6000 else "cancel"
        id_ = at if at < 6000 else int(rng.integers(6000))
        drawn = Event(symbol, venue, START + at * MS, action, id_, side, price, 1.0)
        if action == "cancel":
            known = events[id_]
            drawn = drawn._replace(symbol=known.symbol, venue=known.venue)
        events.append(drawn)
    params = BookParams(depth=4)
    expected = reference(events, params)
    same(Run(events, params, size=5000), expected)
    same(Run(events, params, size=1700, restart=True), expected)


def test_a_snapshot_tells_nothing_of_how_the_state_came_about() -> None:
    adds = [add(at, "buy", 1.0 + at % 50, 1.0) for at in range(3000)]
    once, cut = Run(adds, BookParams()), Run(adds, BookParams(), size=700, restart=True)
    assert once.flow.snapshot() == cut.flow.snapshot()


@pytest.mark.parametrize("before", [{"depth": 1}, {"conflation_ms": 1000}, {"call_venues": ("X",)}])
def test_what_rests_is_known_under_other_parameters_too(before: dict[str, Any]) -> None:
    rest = [
        Event("A", "X", START, "add", order_id=1, side="buy", price=10.0, size=5.0),
        Event("A", "X", START + MS, "add", order_id=2, side="buy", price=9.9, size=1.0),
    ]
    old = Run(rest, BookParams(**before)).flow
    new = Book(BookParams(), old.snapshot())
    taken = Event("A", "X", START + 2 * MS, "cancel", order_id=1, side="buy", price=10.0, size=2.0)
    [emitted] = new.on_rows(rows_of(batch_of([taken]), partition=0, offset=9))
    assert isinstance(emitted, Emit)
    [row] = plain(emitted.batch)
    assert (row["bid_1"], row["bid_size_1"]) == (10.0, 3.0)
    assert (row["bid_2"], row["bid_size_2"]) == (9.9, 1.0)
