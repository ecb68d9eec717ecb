"""One declaration: what the in-stream validation rejects, the checks of landed rows find, and the other way round."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors.quality_sources import Source, open_source
from connectors.quality_sql import rows_query
from schemas.field import CATEGORY, DECIMAL, FLOAT, TEXT, Field
from schemas.opening_hours import opening_hours
from schemas.quality import MARKET_RULES, PER_SYMBOL, Check, CheckKind, checks
from schemas.registry import TOPICS, raw_topics
from schemas.sessions import DAY_NS, CalendarError
from schemas.topic import Topic
from schemas.validation import MAX_SKEW_NS, validate
from tests.conformity.workload import topic_rows

# Of a single row, whatever others there are.
OF_ROWS = (
    CheckKind.COMPLETENESS,
    CheckKind.RANGE,
    CheckKind.VALUES,
    CheckKind.RULE,
    CheckKind.SKEW,
)
ROWS = 6


def _of_rows(topic: Topic) -> list[Check]:
    # Where a row lands is said by its event time: none lands without.
    given = f"{topic.event_time} given"
    return [one for one in checks(topic) if one.kind in OF_ROWS and one.name != given]


def _broken(topic: Topic, check: Check, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Good rows, of which the one in the middle breaks a check."""
    given = check.parameters
    if check.kind is CheckKind.SKEW:
        return batch
    if check.kind is CheckKind.RULE:
        batch = _put(topic, batch, given["field"], given["values"][0])
        for name in given["needs"]:
            batch = _put(topic, batch, name, None)
        return batch
    (name,) = check.fields
    bad: Any = None
    if "empty" in given:
        bad = ""
    elif "above" in given:
        bad = given["above"]
    elif "minimum" in given:
        bad = given["minimum"] - 1
    elif "maximum" in given:
        bad = given["maximum"] + 1
    elif "finite" in given:
        bad = float("inf")
    elif "allowed" in given:
        bad = "no such word"
    return _put(topic, batch, name, bad)


def _put(topic: Topic, batch: pa.RecordBatch, name: str, value: Any) -> pa.RecordBatch:
    field = topic.field(name)
    values = batch.column(name).to_pylist()
    values[ROWS // 2] = value
    kind = pa.string() if field.type == CATEGORY else field.type
    column = pa.array(values, kind)
    if field.type == CATEGORY:
        column = column.dictionary_encode()
    return batch.set_column(batch.schema.get_field_index(name), topic.schema.field(name), column)


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with open_source("lake", "", tmp_path_factory.mktemp("lake")) as source:
        yield source


def _landed(topic: Topic, batch: pa.RecordBatch, day: int, appended_ns: int) -> pa.Table:
    """Rows as they would be in the lake, so many days later."""
    shift = day * DAY_NS
    times = pa.compute.add(batch.column(topic.event_time).cast(pa.int64()), shift)
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns[topic.event_time] = times.cast(pa.timestamp("ns", "UTC"))
    plain = {
        name: column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for name, column in columns.items()
    }
    return pa.table(
        {
            **plain,
            "_partition": np.zeros(batch.num_rows, np.int32),
            "_offset": np.zeros(batch.num_rows, np.int64),
            "_row": np.arange(batch.num_rows, dtype=np.int32),
            "_appended": pa.array(
                np.full(batch.num_rows, appended_ns + shift), pa.timestamp("ns", "UTC")
            ),
        }
    )


def _times(topic: Topic, batch: pa.RecordBatch) -> np.ndarray:
    return batch.column(topic.event_time).cast(pa.int64()).to_numpy()


@pytest.mark.parametrize("topic", raw_topics(), ids=lambda topic: topic.name)
def test_a_row_that_breaks_a_check_is_rejected_in_the_stream_and_found_where_it_landed(
    clickhouse: Source, topic: Topic, tmp_path: Path
) -> None:
    good = topic_rows(topic, np.random.default_rng(3), ROWS, 0)
    latest = int(_times(topic, good).max())
    assert validate(topic, good, latest).rejected.tolist() == []
    tables = []
    wanted = _of_rows(topic)
    for day, check in enumerate(wanted):
        broken = _broken(topic, check, good)
        if check.kind is CheckKind.SKEW:
            early = int(_times(topic, good).min()) - MAX_SKEW_NS - 1
            assert len(validate(topic, broken, early).rejected) == ROWS
            tables.append(_landed(topic, broken, day, early))
        else:
            rejected = validate(topic, broken, latest).rejected.tolist()
            assert rejected == [ROWS // 2], check.name
            tables.append(_landed(topic, broken, day, latest))
    pq.write_table(pa.concat_tables(tables), tmp_path / "rows.parquet")
    source = f"file('{tmp_path}/rows.parquet', 'Parquet')"
    found = clickhouse.query(rows_query(topic, source, wanted))
    assert found.height == len(wanted)
    for day, check in enumerate(wanted):
        counts = {one.name: int(found[f"unexpected_{at}"][day]) for at, one in enumerate(wanted)}
        assert counts[check.name] == (ROWS if check.kind is CheckKind.SKEW else 1), check.name
        others = {name for name, count in counts.items() if count and name != check.name}
        assert others <= _implied(check), "a fault is found by its own check"


def _implied(check: Check) -> set[str]:
    """What breaks with it: infinity is above or below every bound, the null of a rule may be another rule's."""
    if check.kind is CheckKind.RULE:
        return {
            name
            for topic in TOPICS.values()
            for name in (c.name for c in checks(topic) if c.kind is CheckKind.RULE)
        }
    (name,) = check.fields
    return {f"{name} finite"} if check.kind is not CheckKind.RANGE else _bounds(name)


def _bounds(name: str) -> set[str]:
    every = (check for topic in TOPICS.values() for check in checks(topic))
    return {
        check.name for check in every if check.fields == (name,) and check.kind is CheckKind.RANGE
    }


def test_every_bound_that_a_field_declares_is_checked() -> None:
    for topic in TOPICS.values():
        names = {check.name for check in checks(topic)}
        assert len(names) == len(checks(topic)), topic.name
        for field in topic.fields:
            assert _declared(field) <= names, (topic.name, field.name)
        assert sum(check.kind is CheckKind.RULE for check in checks(topic)) == len(topic.rules)


def _declared(field: Field) -> set[str]:
    wanted = set()
    if not field.nullable:
        wanted.add(f"{field.name} given")
    if field.type == FLOAT:
        wanted.add(f"{field.name} finite")
    if field.is_number:
        for bound, words in (
            (field.above, "above"),
            (field.minimum, "at least"),
            (field.maximum, "at most"),
        ):
            if bound is not None:
                wanted.add(f"{field.name} {words} {bound:g}")
    if field.allowed and field.type in (CATEGORY, TEXT):
        wanted.add(f"{field.name} known")
    return wanted


def test_a_changed_declaration_changes_both_sides() -> None:
    topic = TOPICS["trades"]
    tighter = replace(topic.field("price"), above=None, maximum=10.0)
    other = replace(
        topic, fields=tuple(tighter if field.name == "price" else field for field in topic.fields)
    )
    assert "price at most 10" in {check.name for check in checks(other)}
    rows = _put(topic, topic_rows(topic, np.random.default_rng(3), ROWS, 0), "price", 11.0)
    rows = rows.set_column(
        topic.schema.get_field_index("price"), "price", pa.array([11.0] + [1.0] * (ROWS - 1))
    ).cast(other.schema)
    assert validate(other, rows).rejected.tolist() == [0]
    assert validate(topic, rows).rejected.tolist() == []


def test_rules_of_the_market_name_fields_of_their_topics() -> None:
    for name in MARKET_RULES:
        topic = TOPICS[name]
        for check in checks(topic):
            if check.kind in PER_SYMBOL:
                assert all(topic.field(field).type in (FLOAT, DECIMAL) for field in check.fields)


def test_open_hours_are_cut_at_midnight_and_know_early_closes() -> None:
    day = int(np.datetime64("2013-11-29", "D").astype(int))
    ((found, start, end),) = opening_hours("XNYS", day, day).tolist()
    assert found == day
    # The day after Thanksgiving ends at 13:00 New York.
    assert (end - start) == 3.5 * 3_600 * 10**9
    assert opening_hours("XNYS", day + 1, day + 2).shape == (0, 3)
    whole = opening_hours("24/7", day, day + 1)
    assert (whole[:, 2] - whole[:, 1]).tolist() == [86_400 * 10**9] * 2
    # Futures of the CME open at 17:00 Chicago, and so on the day before UTC or at 23:00.
    pieces = opening_hours("CMES", day - 3, day - 2)
    assert (pieces[:, 1] // (86_400 * 10**9) == pieces[:, 0]).all()
    assert ((pieces[:, 2] - 1) // (86_400 * 10**9) == pieces[:, 0]).all()
    with pytest.raises(CalendarError, match="is not known"):
        opening_hours("XXXX", day, day)
