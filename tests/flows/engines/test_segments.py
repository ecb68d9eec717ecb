"""Records become segments: tiny ones are joined, nulls and empty dictionaries among them."""

import itertools
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from connectors.log import Record
from connectors.records import rows_record, watermarks_batch, watermarks_record
from flows.engines.segments import decode_records, join_batches
from flows.flow import Input
from schemas.market import TRADES
from tests.conformity.workload import START_NS, topic_rows


def made(rows: int, seed: int = 1) -> pa.RecordBatch:
    return topic_rows(TRADES, np.random.default_rng(seed), rows, 0)


def undefined(rows: int) -> pa.RecordBatch:
    """Rows whose every nullable field is null, and whose dictionaries are then empty."""
    columns = [
        column
        if not field.nullable
        else pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int32()), pa.array([], pa.string()))
        if pa.types.is_dictionary(field.type)
        else pa.nulls(rows, field.type)
        for field, column in zip(TRADES.fields, made(rows).columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=TRADES.schema)


def stored(batches: list[pa.RecordBatch]) -> list[Record]:
    records = (rows_record(TRADES, 0, batch) for batch in batches)
    return [
        Record("trades", 0, at, 0, None, record.headers, record.value)
        for at, record in enumerate(records)
    ]


def test_joined_batches_hold_the_rows_of_each_in_order() -> None:
    parts = [made(5).slice(1, 3), undefined(4).slice(2), made(6, 3), undefined(1)]
    for some in itertools.chain(itertools.permutations(parts), [(parts[1], parts[3])]):
        joined = join_batches(list(some))
        joined.validate(full=True)
        assert joined.to_pylist() == [row for part in some for row in part.to_pylist()]


def test_a_null_may_have_any_number_beneath_it() -> None:
    """`unify_dictionaries` reads memory at it (apache/arrow#44827): a process was seen to die of that."""
    parts = []
    for seed, far in ((1, 0), (2, -2_000_000_000)):
        batch = made(5, seed)
        at = TRADES.schema.get_field_index("side")
        numbers = pa.array(np.array([0, far, 0, far, 0], np.int32), mask=np.arange(5) % 2 == 1)
        words = pa.array(["buy" if far else "sell"])
        side = pa.DictionaryArray.from_arrays(numbers, words)
        parts.append(batch.set_column(at, TRADES.schema.field(at), side))
    joined = join_batches(parts)
    assert joined.to_pylist() == [row for part in parts for row in part.to_pylist()]


def test_no_code_unifies_dictionaries_by_arrow_alone() -> None:
    root = Path(__file__).parents[3]
    folders = ("bench", "connectors", "flows", "schemas", "serving", "tapeflow", "tests")
    named = [
        str(path)
        for folder in folders
        for path in (root / folder).rglob("*.py")
        if ".unify_dictionaries(" in path.read_text() and path != Path(__file__)
    ]
    assert named == []


def test_rows_keep_their_positions_when_records_are_joined() -> None:
    (segment,) = decode_records(0, Input(topic=TRADES), stored([made(2), undefined(0), made(3)]))
    assert segment.rows is not None
    assert segment.rows.offset.tolist() == [0, 0, 2, 2, 2]
    assert segment.rows.row.tolist() == [0, 1, 0, 1, 2]


def test_records_are_joined_up_to_a_bound_and_never_over_a_watermark() -> None:
    records = stored([made(2_000)] * 17)
    lengths = [one.length for one in decode_records(0, Input(topic=TRADES), records)]
    assert lengths == [16_000, 16_000, 2_000]
    passed = watermarks_record("trades", 0, watermarks_batch(["AIG"], np.array([START_NS])))
    records[1] = Record("trades", 0, 1, 0, None, passed.headers, passed.value)
    lengths = [one.length for one in decode_records(0, Input(topic=TRADES), records[:3])]
    assert lengths == [2_000, 1, 2_000]


def test_many_tiny_records_cost_no_more_each_than_a_few() -> None:
    """A read of a live topic can hold thousands of one-row records."""

    def cost(count: int) -> float:
        records = stored([made(1)]) * count
        rounds = []
        for _ in range(3):
            begun = perf_counter()
            list(decode_records(0, Input(topic=TRADES), records))
            rounds.append(perf_counter() - begun)
        return min(rounds) / count

    assert cost(8_000) < 3 * cost(500)
