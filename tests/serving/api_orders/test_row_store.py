"""Rows in memory: found by their numbers, whatever their batches and dictionaries were."""

from typing import Any

import pyarrow as pa
import pytest

from schemas.field import TEXT
from schemas.orders import ORDERS
from serving.latest.row_store import RowStore

BATCHES = 600
"""More than are joined at a time, twice over."""


def _batch(number: int) -> pa.RecordBatch:
    row = {"account": "A", "symbol": None if number % 3 == 0 else f"S{number % 7}", "user": "u"}
    return ORDERS.batch_of_rows([{**row, "order_id": str(number), "ts_event": number}])


def _with_a_null_among_its_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows; of those that name no symbol, the dictionary says so instead of the row."""
    place = batch.schema.get_field_index("symbol")
    words = [*batch.column(place).dictionary.to_pylist(), None]
    codes = [words.index(word) for word in batch.column(place).cast(TEXT).to_pylist()]
    column = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(words, TEXT))
    return batch.set_column(place, batch.schema.field(place), column)


def _shown(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    names = ("order_id", "account", "symbol", "ts_event")
    columns = [batch.column(name) for name in names]
    return list(
        zip(
            *(
                column.cast(TEXT).to_pylist()
                if pa.types.is_dictionary(column.type)
                else column.to_pylist()
                for column in columns
            ),
            strict=True,
        )
    )


@pytest.mark.parametrize("odd", [False, True], ids=["nulls in rows", "nulls in dictionaries"])
def test_rows_are_found_by_number_before_and_behind_a_join(*, odd: bool) -> None:
    store = RowStore(ORDERS, rows_max=10_000)
    batches = [_batch(number) for number in range(BATCHES)]
    for number, batch in enumerate(batches):
        came = _with_a_null_among_its_words(batch) if odd else batch
        assert store.append(0, [number], [1], came) == number
    wanted = [599, 0, 255, 256, 511, 300, 512]
    numbers, found = store.rows(wanted)
    assert numbers == wanted
    found.validate(full=True)
    assert found.schema.equals(ORDERS.schema)
    assert _shown(found) == [_shown(batches[number])[0] for number in wanted]
    kept = [row for begin, batch in store.newest_first() for row in reversed(_shown(batch))]
    assert kept == [_shown(batch)[0] for batch in reversed(batches)]


def test_large_batches_are_joined_with_small_ones_before_and_behind_them() -> None:
    store = RowStore(ORDERS, rows_max=1_000_000)
    sizes = [1] * 40 + [9_000, 1, 9_000] + [1] * 40
    batches, begin = [], 0
    for size in sizes:
        batches.append(pa.concat_batches([_batch(begin + row) for row in range(size)][:1] * size))
        assert store.append(0, [begin], [size], batches[-1]) == begin
        begin += size
    kept = [shown for _, batch in reversed(list(store.newest_first())) for shown in _shown(batch)]
    assert kept == [shown for batch in batches for shown in _shown(batch)]


@pytest.mark.parametrize("odd", [False, True], ids=["nulls in rows", "nulls in dictionaries"])
def test_records_that_came_together_are_kept_with_the_offset_of_each(*, odd: bool) -> None:
    store = RowStore(ORDERS, rows_max=4)
    for begin in range(0, 120, 4):
        # Records of one row, of none and of three.
        batches = [_batch(begin + row) for row in range(4)]
        came = [_with_a_null_among_its_words(batch) if odd else batch for batch in batches]
        offsets = [1_000 + begin, 1_001 + begin, 1_002 + begin]
        assert store.append(0, offsets, [1, 0, 3], store.joined(came)) == begin
    assert store.first > 0
    numbers, found = store.rows(range(120))
    assert _shown(found) == [_shown(_batch(number))[0] for number in numbers]
    assert numbers == list(range(store.first, 120))
    assert store.offsets() == {0: 1_000 + store.first}


def test_the_oldest_rows_are_dropped_with_the_records_that_hold_them() -> None:
    store = RowStore(ORDERS, rows_max=100)
    for number in range(BATCHES):
        store.append(0, [number], [1], _batch(number))
    assert store.end == BATCHES
    assert 0 < store.first <= BATCHES - 100
    assert store.offsets() == {0: store.first}
    numbers, _ = store.rows([store.first - 1, store.first, BATCHES - 1])
    assert numbers == [store.first, BATCHES - 1]
