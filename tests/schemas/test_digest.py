"""Row digests against a plain reference and mmh3, and their sums."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import mmh3
import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.canonical import canonical_bytes
from schemas.digest import DigestSum, combine, row_digests
from schemas.field import CATEGORY, TYPES, Field
from schemas.murmur import murmur3_128
from schemas.registry import TOPICS
from schemas.topic import Kind, Landing, Partition, Topic
from tests.golden.canonical import canonical, digest
from tests.golden.rows import ALL, golden_batch, golden_rows

# The first example compiles a kernel, which takes longer than hypothesis allows an example.

_VECTORS = Path(__file__).parents[1] / "golden" / "digest"

_KEY = Field(name="key", type=CATEGORY, unit="none", nullable=False, meaning="Key.")
_WHEN = Field(name="ts_event", type=TYPES[0], unit="ns", nullable=False, meaning="When.")
EVERY_TYPE = Topic(
    name="every_type",
    version=513,
    kind=Kind.RAW,
    meaning="One nullable field of each type.",
    fields=(
        _KEY,
        _WHEN,
        *(
            Field(
                name="ts_value" if kind == TYPES[0] else f"value_{at}",
                type=kind,
                unit="none",
                nullable=True,
                meaning="A value.",
            )
            for at, kind in enumerate(TYPES)
        ),
    ),
    key="key",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("key", "ts_event"), partition_by=Partition.DAY),
)

_INT64 = st.integers(-(2**63), 2**63 - 1)
_BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "timestamp[ns, tz=UTC]": _INT64,
    "double": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": _INT64,
    "uint64": st.integers(0, 2**64 - 1),
    "string": st.text(max_size=20),
    "binary": st.binary(max_size=40),
    "dictionary<values=string, indices=int32, ordered=0>": st.text(max_size=5),
    "decimal128(38, 10)": st.decimals(
        min_value=Decimal(-(10**20)), max_value=Decimal(10**20), places=10
    ),
}


def _rows(topic: Topic) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = {
        field.name: st.none() | _BY_TYPE[str(field.type)]
        if field.nullable
        else _BY_TYPE[str(field.type)]
        for field in topic.fields
    }
    return st.lists(st.fixed_dictionaries(row), min_size=1, max_size=20)


def _batch(topic: Topic, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = {field.name: [row[field.name] for row in rows] for field in topic.fields}
    return topic.batch({n: _array(topic.field(n).type, values) for n, values in columns.items()})


def _array(kind: pa.DataType, values: list[Any]) -> pa.Array:
    # An explicit type, for a list of nothing but None has none of its own.
    return pa.array(values, pa.string()) if kind == CATEGORY else pa.array(values, kind)


@given(rows=_rows(EVERY_TYPE), cut=st.integers(0, 5))
def test_canonical_bytes_equal_the_plain_reference_for_every_type_null_and_slice(
    rows: list[dict[str, Any]], cut: int
) -> None:
    batch = _batch(EVERY_TYPE, rows).slice(cut)
    data, starts = canonical_bytes(EVERY_TYPE, batch)
    found = [bytes(data[a:b]) for a, b in pairwise(starts)]
    assert found == [canonical(EVERY_TYPE, row) for row in rows[cut:]]


@given(parts=st.lists(st.binary(max_size=70), max_size=20))
def test_murmur_equals_mmh3(parts: list[bytes]) -> None:
    starts = np.cumsum([0, *(len(part) for part in parts)]).astype(np.int64)
    data = np.frombuffer(b"".join(parts) or b"\0", dtype=np.uint8)
    found = [tuple(row) for row in murmur3_128(data, starts).tolist()]
    assert found == [mmh3.hash64(part, seed=0, x64arch=True, signed=False) for part in parts]


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_digests_of_the_golden_rows_are_those_in_the_repository(topic: Topic) -> None:
    path = _VECTORS / f"{topic.name}-{topic.version}.json"
    vectors = orjson.loads(path.read_bytes())
    data = [bytes.fromhex(vector["canonical"]) for vector in vectors]
    assert data == [canonical(topic, row) for row in golden_rows(topic)]
    found = [f"{high:016x}{low:016x}" for low, high in row_digests(topic, golden_batch(topic))]
    assert found == [vector["digest"] for vector in vectors]


def test_negative_zero_counts_as_zero_and_ts_recv_does_not_count() -> None:
    topic = TOPICS["trades"]
    row = golden_rows(topic)[0]
    same = row | {"size": -0.0, "ts_recv": 5}
    one, other = (row_digests(topic, _batch(topic, [r])) for r in (row | {"size": 0.0}, same))
    assert one.tolist() == other.tolist()
    changed = row_digests(topic, _batch(topic, [row | {"ts_event": row["ts_event"] + 1}]))
    assert changed.tolist() != one.tolist()


def test_a_null_within_a_dictionary_is_a_null_and_a_longer_or_sliced_dictionary_is_the_same() -> (
    None
):
    topic = TOPICS["trades"]
    batch = golden_batch(topic)
    at = batch.schema.get_field_index("conditions")
    words = pa.array(["unused", "AIG", None, "Zürich ☃"]).slice(1)
    odd = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), words)
    assert row_digests(topic, batch.set_column(at, topic.schema.field(at), odd)).tolist() == (
        row_digests(topic, batch).tolist()
    )


@given(rows=_rows(EVERY_TYPE), data=st.data())
def test_the_sum_does_not_hang_on_order_or_cut_and_equals_plain_addition(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = []
    for some in (shuffled[:cut], shuffled[cut:]):
        part = DigestSum()
        if some:
            part.add(row_digests(EVERY_TYPE, _batch(EVERY_TYPE, some)))
        parts.append(part)
    halves = [digest(canonical(EVERY_TYPE, row)) for row in rows]
    wanted = sum(low + (high << 64) for low, high in halves) % 2**128
    total = combine(parts)
    assert (total.rows, total.total) == (len(rows), wanted)
    assert total.hexdigest() == wanted.to_bytes(16, "big").hex()


def test_a_batch_longer_than_a_block_has_the_digests_of_its_rows() -> None:
    topic = TOPICS["trades"]
    three = golden_batch(topic)
    many = pa.Table.from_batches([three] * 3000).combine_chunks()
    (batch,) = many.to_batches()
    assert (row_digests(topic, batch) == np.tile(row_digests(topic, three), (3000, 1))).all()


def test_a_batch_of_another_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="trades/1"):
        row_digests(TOPICS["trades"], golden_batch(TOPICS["quotes"]))


def test_no_rows_have_no_digests() -> None:
    topic = TOPICS["bars"]
    total = DigestSum()
    total.add(row_digests(topic, topic.empty()))
    assert total == DigestSum(rows=0, total=0)
