"""Books against a plain event-by-event reference, in any cut, over restarts, with every fault there is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.book import Book, BookParams
from flows.flow import Late
from schemas.market import BOOK_EVENTS
from tests.flows.book_reference import Event, Mark, Reference
from tests.flows.trades import late_rows, plain, rows_of, watermarks

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
        begin = 0
        while begin < len(events):
            end = begin + 1
            same = type(events[begin])
            while end < len(events) and end - begin < size and type(events[end]) is same:
                end += 1
            self._take(events[begin:end], begin)
            if restart:
                state = self.flow.snapshot()
                self.flow = Book(params, state)
                assert self.flow.snapshot() == state
            begin = end

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


@settings(max_examples=250, deadline=None)
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
    same(Run(events, params, size=size, restart=restart), reference(events, params))
