"""Newest rows in memory: as a dictionary that takes row after row, and never more than what is newest."""

import asyncio
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.log import Record
from connectors.records import decode_each, rows_record
from schemas.accounts import CASH_MOVEMENTS
from schemas.bars import BARS
from schemas.registry import TOPICS
from serving.hub.feed import TopicFeed
from serving.hub.reader import Arrived
from serving.latest.groups import group_fields
from serving.latest.newest import Changes, LatestView
from serving.latest.parts import newest_rows
from serving.latest.row_store import RowStore

Bars = list[tuple[str, str, int]]
BATCHES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.sampled_from(["1m", "5m"]), st.integers(0, 99)),
        min_size=1,
        max_size=8,
    ),
    max_size=12,
)


def bars(rows: Bars) -> pa.RecordBatch:
    count = len(rows)
    return BARS.batch(
        {
            "symbol": [row[0] for row in rows],
            "interval": [row[1] for row in rows],
            "ts_event": [row[2] for row in rows],
            "ts_start": [0] * count,
            "trade_count": [row[2] for row in rows],
            **{name: [0.0] * count for name in ("volume", "buy_volume", "sell_volume")},
        }
    )


def shown(view: LatestView, keys: Any = None) -> dict[tuple[str, str], int]:
    rows = [orjson.loads(entry.line) for entry in view.entries(keys)]
    return {(row["symbol"], row["interval"]): row["trade_count"] for row in rows}


@given(BATCHES)
def test_the_newest_row_of_each_group_is_the_last_that_came(batches: list[Bars]) -> None:
    view, known = LatestView(BARS), {}
    everything, some = Changes(view, None), Changes(view, frozenset("AB"))
    since, changed = 0, {}
    for number, rows in enumerate(batches):
        view.apply(newest_rows(BARS, bars(rows)))
        known.update({(symbol, interval): value for symbol, interval, value in rows})
        changed.update({(symbol, interval): value for symbol, interval, value in rows})
        assert shown(view) == known
        assert shown(view, ["A"]) == {key: known[key] for key in known if key[0] == "A"}
        if number % 3 == 2:
            found = everything.entries(since)
            assert {
                entry.group: orjson.loads(entry.line)["trade_count"] for entry in found
            } == changed
            assert view.batch(found).column("trade_count").to_pylist() == [
                orjson.loads(entry.line)["trade_count"] for entry in found
            ]
            assert everything.lines(since) == [entry.line for entry in found]
            assert some.lines(since) == [one.line for one in found if one.group[0] in "AB"]
            since, changed = view.change, {}
    assert len(view) == len(known)


def test_rows_that_stand_side_by_side_do_not_replace_one_another() -> None:
    """Of a conflated stream of revised bars, only one interval's newest came."""
    # Of a check's findings each is one, and none is newer than the others.
    events = {"quality_results"}
    times = {"ts_event", "ts_end", "revision"}
    for topic in TOPICS.values():
        if times.intersection(topic.identity) and topic.name not in events:
            assert set(topic.identity) - times <= set(group_fields(topic)), topic.name


def test_memory_follows_the_groups_and_not_the_rows() -> None:
    """Each record brings one row of a group that stays, beside many that are replaced."""
    view = LatestView(BARS)
    common = [(f"C{number}", "1m", 0) for number in range(200)]
    for number in range(300):
        view.apply(newest_rows(BARS, bars([*common, (f"S{number}", "1m", number)])))
    parts = {id(entry.part): entry.part for entry in view.entries()}.values()
    assert len(view) == 500
    assert sum(part.batch.num_rows for part in parts) < 4 * 500
    assert shown(view)["S7", "1m"] == 7


def test_of_too_many_groups_the_oldest_are_forgotten() -> None:
    view = LatestView(BARS, groups_max=100)
    some, everything = Changes(view, frozenset({"S3", "S200"})), Changes(view, None)
    for number in range(250):
        since = view.change
        view.apply(newest_rows(BARS, bars([(f"S{number}", "1m", number)])))
        assert len(view) <= 100
        # Who has a place that was another's is told as who never had one.
        assert [one.group[0] for one in everything.entries(since)] == [f"S{number}"]
        told = [one.group[0] for one in some.entries(since)]
        assert told == ([f"S{number}"] if number in (3, 200) else [])
    assert len(everything.entries(0)) == len(view)
    assert ("S249", "1m") in shown(view)
    assert ("S0", "1m") not in shown(view)


def test_older_rows_fill_gaps_and_replace_nothing() -> None:
    view = LatestView(BARS)
    view.apply(newest_rows(BARS, bars([("A", "1m", 5)])))
    view.fill(newest_rows(BARS, bars([("A", "1m", 1), ("B", "1m", 2)])))
    assert shown(view) == {("A", "1m"): 5, ("B", "1m"): 2}
    assert not Changes(view, None).entries(1)


def test_a_dictionary_that_says_a_word_twice_is_one_group() -> None:
    batch = bars([("A", "1m", 1), ("A", "1m", 2)])
    codes, words = pa.array([0, 1], pa.int32()), pa.array(["A", "A"])
    symbols = pa.DictionaryArray.from_arrays(codes, words)
    batch = batch.set_column(0, BARS.schema.field(0), symbols)
    part = newest_rows(BARS, batch)
    assert part.groups == [("A", "1m")]
    assert orjson.loads(part.line(0))["trade_count"] == 2


def test_groups_are_made_of_strings_that_are_always_there() -> None:
    for topic in TOPICS.values():
        for name in group_fields(topic):
            field = topic.field(name)
            assert not field.nullable, (topic.name, name)
            assert pa.types.is_dictionary(field.type) or field.type == pa.string()


def movements(numbers: list[int]) -> pa.RecordBatch:
    count = len(numbers)
    return CASH_MOVEMENTS.batch(
        {
            "account": ["A1"] * count,
            "ts_event": numbers,
            "ts_recv": numbers,
            "movement_id": [str(number) for number in numbers],
            "kind": ["deposit"] * count,
            "amount": numbers,
            "currency": ["USD"] * count,
        }
    )


@settings(max_examples=30)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=40), st.randoms())
def test_a_store_of_rows_keeps_the_newest_by_number(sizes: list[int], random: Any) -> None:
    store = RowStore(CASH_MOVEMENTS, rows_max=1000)
    end = 0
    for offset, size in enumerate(sizes):
        assert store.append(0, [offset], [size], movements(list(range(end, end + size)))) == end
        end += size
    assert store.end == end
    assert end - store.first >= min(end, 1000)
    asked = [random.randrange(store.first, end) for _ in range(20)]
    found, rows = store.rows([*asked, store.first - 1, -1])
    assert found == asked
    assert [int(name) for name in rows.column("movement_id").to_pylist()] == asked
    assert all(number >= store.first for number in found)


def test_a_row_that_is_kept_does_not_keep_what_was_decoded_with_it() -> None:
    records = []
    for number in range(3):
        made = rows_record(CASH_MOVEMENTS, 0, movements([number]))
        records.append(Record(CASH_MOVEMENTS.name, 0, number, 0, None, made.headers, made.value))

    def memory(batch: pa.RecordBatch) -> set[int]:
        found = [buffer for column in batch.columns for buffer in column.buffers()]
        return {buffer.address for buffer in found if buffer is not None and buffer.size}

    async def shared() -> set[int]:
        feed = TopicFeed(CASH_MOVEMENTS, {0: 0})
        feed.keeps_newest = True
        together = list(decode_each(CASH_MOVEMENTS, records))
        for number, batch in enumerate(together):
            feed.take(Arrived(CASH_MOVEMENTS, 0, number, number + 1, batch, None))
        (entry,) = feed.view.entries()
        return memory(entry.part.batch) & memory(together[-1])

    assert not asyncio.run(shared())
