"""The best bid and offer against a plain reference, and by its rules one by one."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from flows.composite import CompositeParams
from flows.flow import FlowError, Late, Params
from flows.nbbo import Nbbo, NbboParams
from flows.trade_signs import TradeSignsParams
from tests.flows.nbbo_reference import Mark, Quote, Reference, quotes_batch
from tests.flows.trades import parts_of, rows_of, watermarks

SECOND = 10**9
NOON = 1_381_161_600 * SECOND  # Monday 2013-10-07 16:00 UTC, noon in New York
MIDNIGHT = NOON + 12 * 3600 * SECOND
COLUMNS = (
    "ts_event",
    "number",
    "bid",
    "bid_size",
    "bid_venues",
    "ask",
    "ask_size",
    "ask_venues",
    "state",
)


class Run:
    """A flow run over events in batches of a size, with or without restarts between them."""

    def __init__(
        self,
        events: Sequence[Quote | Mark],
        params: NbboParams | None = None,
        *,
        size: int = 1000,
        restart: bool = False,
    ) -> None:
        params = params or NbboParams()
        self.flow = Nbbo(params, None)
        self.rows: dict[str, list[tuple]] = {}
        self.late: list[int] = []
        for begin, part in parts_of(events, size):
            self._take(part, begin)
            if restart:
                self.flow = Nbbo(params, self.flow.snapshot())

    def _take(self, events: Sequence[Quote | Mark], begin: int) -> None:
        if isinstance(events[0], Mark):
            given = []
            for one in events:
                given += self.flow.on_watermark(watermarks([one.key], [one.time]))
        else:
            given = self.flow.on_rows(rows_of(quotes_batch(events)))
        for one in given:
            if isinstance(one, Late):
                self.late += (one.index + begin).tolist()
            else:
                one.batch.validate(full=True)
                frame = pl.DataFrame(one.batch).with_columns(pl.col("ts_event").to_physical())
                for symbol, *row in frame.select("symbol", *COLUMNS).rows():
                    self.rows.setdefault(symbol, []).append(tuple(row))


def states(run: Run, key: str = "K") -> list[tuple]:
    """Seconds since noon, bid and its venues, ask and its venues, state."""
    return [
        ((row[0] - NOON) / SECOND, row[2], row[4], row[5], row[7], row[8]) for row in run.rows[key]
    ]


def made_up(seed: int, count: int) -> list[Quote | Mark]:
    """Quotes of three symbols and four venues on few prices, with everything that a row can have."""
    rng = np.random.default_rng(seed)
    events: list[Quote | Mark] = []
    time = NOON
    for _ in range(count):
        time += int(rng.choice([0, 0, 1, 3, 40, 4000], p=[0.3, 0.2, 0.2, 0.2, 0.09, 0.01])) * SECOND
        key = str(rng.choice(["K", "L", "M"]))
        if rng.random() < 0.03:
            events.append(Mark(key, time - int(rng.integers(0, 3)) * SECOND))
            continue
        sides = {
            side: (
                None if rng.random() < 0.04 else float(rng.choice([99.5, 100, 100.5, 101])),
                None if rng.random() < 0.1 else float(rng.choice([0, 0.1, 0.2, 0.7, 300])),
            )
            for side in ("bid", "ask")
            if rng.random() < 0.6
        }
        conditions = [None, "1", "1;best", "1;suspicious", "1;best;suspicious", "8", "8;best", "C"]
        condition = conditions[
            int(rng.choice(8, p=[0.3, 0.36, 0.15, 0.03, 0.03, 0.05, 0.04, 0.04]))
        ]
        late = int(rng.integers(0, 5)) * SECOND if rng.random() < 0.08 else 0
        sides = {side: told for side, told in sides.items() if told != (None, None)}
        events.append(
            Quote(key, time - late, str(rng.choice(list("NQPZ"))), condition=condition, **sides)
        )
    return events


@pytest.mark.parametrize("size", ["largest", "sum"])
@pytest.mark.parametrize("stale", [0, 30 * SECOND])
def test_rows_are_those_of_the_plain_reference(size: str, stale: int) -> None:
    for seed in range(2):
        events = [*made_up(seed, 1_200), *(Mark(key, NOON + 9 * 86_400 * SECOND) for key in "KLM")]
        reference = Reference(size, stale, {"8", "C"})
        reference.take(events)
        params = NbboParams(size=size, stale_after=stale)
        for batch, restart in ((1000, False), (1, False), (37, True)):
            run = Run(events, params, size=batch, restart=restart)
            assert run.late == reference.late
            assert len(reference.late) > 3
            for key in "KLM":
                assert run.rows[key] == reference.rows(key), (seed, key)
        found = {row[-1] for key in "KLM" for row in run.rows[key]}
        assert found == {"normal", "locked", "crossed", "one_sided", "empty"}


def test_the_largest_size_counts_or_the_sum() -> None:
    events = [
        Quote("K", NOON, "N", bid=(10.0, 300.0)),
        Quote("K", NOON, "Q", bid=(10.0, 500.0)),
        Quote("K", NOON, "P", bid=(9.9, 900.0)),
    ]
    assert [row[2:5] for row in Run(events).rows["K"]] == [
        (10.0, 300.0, "N"),
        (10.0, 500.0, "N,Q"),
    ]
    assert [row[3] for row in Run(events, NbboParams(size="sum")).rows["K"]] == [300.0, 800.0]


def test_a_row_that_the_tape_names_best_replaces_every_venues_quote_of_its_side() -> None:
    events = [
        Quote("K", NOON, "N", bid=(10.0, 300.0)),
        Quote("K", NOON, "N", ask=(10.2, 300.0)),
        Quote("K", NOON + SECOND, "Q", bid=(9.8, 100.0), condition="1;best"),
    ]
    assert states(Run(events)) == [
        (0, 10.0, "N", None, None, "one_sided"),
        (0, 10.0, "N", 10.2, "N", "normal"),
        (1, 9.8, "Q", 10.2, "N", "normal"),
    ]


def test_a_crossing_between_two_rows_of_one_moment_is_not_told_and_one_that_lasts_is() -> None:
    start = [
        Quote("K", NOON, "N", bid=(10.0, 1.0)),
        Quote("K", NOON, "N", ask=(10.1, 1.0)),
        Quote("K", NOON + SECOND, "N", bid=(10.2, 1.0)),
    ]
    gone = Run([*start, Quote("K", NOON + SECOND, "N", ask=(10.3, 1.0))])
    assert [row[-1] for row in states(gone)] == ["one_sided", "normal", "normal"]
    assert [row[-1] for row in states(Run(start))] == ["one_sided", "normal"]
    for later in (
        Quote("K", NOON + 2 * SECOND, "N", ask=(10.3, 1.0)),
        Mark("K", NOON + SECOND + 1),
    ):
        assert states(Run([*start, later]))[2] == (1, 10.2, "N", 10.1, "N", "crossed")
    assert len(states(Run([*start, Mark("K", NOON + SECOND)]))) == 2


def test_quotes_end_with_their_session_unless_they_are_to_stay() -> None:
    events = [
        Quote("K", NOON, "N", bid=(10.0, 1.0)),
        Quote("K", NOON + 5 * 86_400 * SECOND, "N", ask=(10.1, 1.0)),
    ]
    assert [(row[0], row[-1]) for row in Run(events).rows["K"]] == [
        (NOON, "one_sided"),
        (MIDNIGHT, "empty"),
        (NOON + 5 * 86_400 * SECOND, "one_sided"),
    ]
    stay = Run(events, NbboParams(end_with_session=False))
    assert [row[-1] for row in stay.rows["K"]] == ["one_sided", "normal"]
    day = Run([*events[:1], Mark("K", MIDNIGHT)], NbboParams(calendars={"K": "24/7"}))
    assert day.rows["K"][1][0] == MIDNIGHT - 4 * 3600 * SECOND


@pytest.mark.parametrize(("params", "later"), [({}, 24 * 3600), ({"stale_after": 60 * SECOND}, 61)])
def test_a_quote_that_comes_when_its_time_to_stand_is_over_is_late(
    params: dict[str, int], later: int
) -> None:
    begin = Quote("K", NOON, "A", (10, 1), (11, 1))
    now = Quote("K", NOON + later * SECOND, "B", (20, 1), (21, 1))
    # Of A, newer than its newest: it would cross B's.
    over = Quote("K", NOON + SECOND, "A", (10, 1), (11, 1))
    run = Run([begin, now, over, Mark("K", now.time + SECOND)], NbboParams(**params))
    assert run.late == [2]
    assert states(run)[-1] == (later, 20, "B", 21, "B", "normal")
    stays = Run(
        [begin, now, over, Mark("K", now.time + SECOND)], NbboParams(end_with_session=False)
    )
    assert stays.late == []
    assert states(stays)[-1][-1] == "crossed"


def test_a_quote_of_the_past_stands_no_longer_than_from_its_own_time() -> None:
    events = [
        Quote("K", NOON, "A", (10, 1), (11, 1)),
        Quote("K", NOON - 3 * SECOND, "B", (10, 2), (12, 1)),
        Mark("K", NOON + 9 * SECOND),
    ]
    run = Run(events, NbboParams(stale_after=5 * SECOND))
    assert [(row[0], row[2]) for row in states(run)] == [(0, "A"), (0, "A,B"), (2, "A"), (5, None)]


def test_conditions_that_do_not_count_take_the_side_out_and_suspicious_rows_say_nothing() -> None:
    def bids(condition: str, params: NbboParams | None = None) -> list[float | None]:
        first = Quote("K", NOON, "N", bid=(10.0, 1.0))
        second = Quote("K", NOON, "N", bid=(11.0, 1.0), condition=condition)
        return [row[2] for row in Run([first, second], params).rows["K"]]

    assert bids("1") == bids("800") == bids("3") == bids("R") == bids("A") == [10.0, 11.0]
    assert bids("8") == bids("9") == bids("400") == bids("C") == bids("L") == [10.0, None]
    assert bids("extended") == [10.0, 11.0]
    assert bids("halted") == bids("halted;extended") == [10.0, None]
    assert bids("halted;extended", NbboParams(not_counted=("extended",))) == [10.0, None]
    assert bids("8;suspicious") == bids("1;suspicious") == [10.0]
    assert bids("1;suspicious", NbboParams(suspicious=True)) == [10.0, 11.0]
    assert bids("8", NbboParams(not_counted=())) == [10.0, 11.0]
    assert bids("C", NbboParams(not_counted=("0x8",))) == [10.0, 11.0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (NbboParams, "stale_after"),
        (CompositeParams, "stale_after"),
        (TradeSignsParams, "lag"),
        (TradeSignsParams, "horizon"),
    ],
)
def test_a_time_that_would_leave_its_number_is_refused(kind: type[Params], name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        kind(**{name: 2**63 - 1})
    assert getattr(kind(**{name: 10**18}), name) == 10**18


def test_an_unknown_number_of_bits_is_refused() -> None:
    with pytest.raises(ValidationError, match="0xg"):
        NbboParams(not_counted=("0xg",))


def test_more_venues_than_are_allowed_are_an_error_that_names_the_setting() -> None:
    events = [Quote("K", NOON, venue, bid=(10.0, 1.0)) for venue in "NQP"]
    with pytest.raises(FlowError, match="'P' is one more than max_venues = 2; raise"):
        Run(events, NbboParams(max_venues=2))


def test_the_sixty_third_venue_of_a_shard_says_what_to_do() -> None:
    events = [Quote("K", NOON, f"V{at}", bid=(10.0, 1.0)) for at in range(63)]
    with pytest.raises(FlowError, match=r"'V62' is one more than max_venues = 62; .*partitions"):
        Run(events)
    assert Run(events[:62]).rows["K"]


def test_many_keys_and_venues_grow_the_state() -> None:
    events = [
        Quote(f"K{at % 300}", NOON, f"V{at % 60}", bid=(float(1 + at % 60), 1.0))
        for at in range(18_000)
    ]
    reference = Reference("largest", 0, set())
    reference.take(events)
    run = Run(events)
    for at in range(300):
        assert run.rows[f"K{at}"] == reference.rows(f"K{at}")
