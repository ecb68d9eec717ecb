"""Splits a batch of a topic into good rows and rejected rows, each of these with its reason.

Everything checked is declared: nullability, bounds and allowed values in the fields, `Rule`s in the
topic. A good batch costs a few array scans a column; reasons are worded for bad rows only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Bools, Int64s
from schemas.field import CATEGORY, DECIMAL, FLOAT, TEXT, TIMESTAMP, Field
from schemas.topic import Rule, Topic

# A source's clock may be wrong by so much; a row further ahead would close windows of honest rows.
MAX_SKEW_NS = 5 * 60 * 1_000_000_000

# What ClickHouse's DateTime64(9) can hold: 1900-01-01 to the end of int64 nanoseconds.
EARLIEST_NS = -2_208_988_800_000_000_000

_SHOWN_CHARACTERS = 80
_NUMPY_TYPES = {"double": "f8", "int32": "i4", "int64": "i8", "uint64": "u8"}


@dataclass(frozen=True, kw_only=True)
class Validated:
    """What `validate` found.

    Parameters
    ----------
    good : pyarrow.RecordBatch
        The accepted rows in their order; the very batch given where all are good.
    rejected : numpy.ndarray of int64, shape (m,)
        Indices into the batch given, ascending.
    reasons : list of str
        Why, shape (m,): field, what was needed, what came; several reasons joined by "; ".
    """

    good: pa.RecordBatch
    rejected: Int64s
    reasons: list[str]


@dataclass(frozen=True)
class _Fault:
    """Rows that break one rule, and the words for it; ``value`` is asked for bad rows only."""

    rows: Int64s
    needed: str
    column: pa.Array | None
    before_value: str = ", not"


def validate(
    topic: Topic, batch: pa.RecordBatch, latest_ns: int | Int64s | None = None
) -> Validated:
    """Split a batch into good and rejected rows.

    Parameters
    ----------
    topic : Topic
        What the rows must be.
    batch : pyarrow.RecordBatch
        n rows with exactly the topic's schema.
    latest_ns : int or numpy.ndarray of int64, shape (n,), or None
        Append time, ns since 1970 UTC: an event time more than `MAX_SKEW_NS` ahead of it is
        rejected, unless the topic is not `watermarked`. None where there is no append (yet).

    Returns
    -------
    Validated
        Good and rejected rows; n rows in all.

    Raises
    ------
    ValueError
        Where the batch has another schema: that is an error of the caller, not of a row.
    """
    if not batch.schema.equals(topic.schema):
        raise ValueError(
            f"rows of {topic.identifier} were needed, the batch's schema is\n{batch.schema}\n"
            f"make it with Topic.batch"
        )
    faults = [fault for fault in _faults(topic, batch, latest_ns) if len(fault.rows)]
    if not faults:
        return Validated(good=batch, rejected=np.empty(0, dtype=np.int64), reasons=[])
    reasons: dict[int, list[str]] = {}
    for fault in faults:
        for row in fault.rows.tolist():
            reasons.setdefault(row, []).append(_words(fault, row))
    rejected = np.array(sorted(reasons), dtype=np.int64)
    keep = np.ones(batch.num_rows, dtype=np.bool_)
    keep[rejected] = False
    return Validated(
        good=batch.filter(pa.array(keep)),
        rejected=rejected,
        reasons=["; ".join(reasons[row]) for row in rejected.tolist()],
    )


def _faults(
    topic: Topic, batch: pa.RecordBatch, latest_ns: int | Int64s | None
) -> Iterator[_Fault]:
    present = {}
    for field, column in zip(topic.fields, batch.columns, strict=True):
        valid = present[field.name] = _valid(column)
        if valid is not None and not field.nullable:
            yield _Fault(np.flatnonzero(~valid), f"{field.name} must be given", None)
        if column.null_count == len(column):
            # Nothing is there that could be wrong; of an order, that is two columns of three.
            continue
        if field.type in (CATEGORY, TEXT):
            yield from _string_faults(field, column, key=field.name == topic.key)
        elif field.type == DECIMAL:
            yield from _decimal_faults(field, column)
        elif field.type == TIMESTAMP:
            yield from _time_faults(field, column, valid)
        elif field.is_number:
            yield from _number_faults(field, column, valid)
    # What closes no window may speak of the time to come, as a symbol change that is announced.
    if latest_ns is not None and topic.watermarked:
        yield from _skew_faults(topic, batch, present[topic.event_time], latest_ns)
    for rule in topic.rules:
        yield from _rule_faults(rule, batch, present)


def _valid(column: pa.Array) -> Bools | None:
    """Which rows have a value; None where all have."""
    hidden = pa.types.is_dictionary(column.type) and column.dictionary.null_count
    if column.null_count == 0 and not hidden:
        return None
    if hidden:
        # A code may point to a null in the dictionary: Arrow does not count that row as null.
        column = column.dictionary_decode()
        if column.null_count == 0:
            return None
    valid: Bools = column.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _values(column: pa.Array, dtype: str) -> Any:
    """The values as numpy sees them, whatever lies under a null."""
    buffer = column.buffers()[1]
    if buffer is None or len(column) == 0:
        return np.zeros(len(column), dtype=dtype)
    return np.frombuffer(buffer, dtype=dtype, count=column.offset + len(column))[column.offset :]


def _rows(bad: Bools, valid: Bools | None) -> Int64s:
    return np.flatnonzero(bad if valid is None else bad & valid)


def _number_faults(field: Field, column: pa.Array, valid: Bools | None) -> Iterator[_Fault]:
    values = _values(column, _NUMPY_TYPES[str(field.type)])
    shown = values if valid is None else values[valid]
    if not len(shown):
        return
    # NaN and infinities survive in the smallest or largest, so two scans see every kind of fault.
    smallest, largest = shown.min(), shown.max()
    if field.type == FLOAT and not (np.isfinite(smallest) and np.isfinite(largest)):
        yield _Fault(
            _rows(~np.isfinite(values), valid), f"{field.name} must be a finite number", column
        )
        largest, smallest = np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        if field.above is not None and smallest <= field.above:
            bad = (values <= field.above) & (values > -np.inf)
            yield _Fault(_rows(bad, valid), f"{field.name} must be above {field.above}", column)
        if field.minimum is not None and smallest < field.minimum:
            bad = (values < field.minimum) & (values > -np.inf)
            yield _Fault(_rows(bad, valid), f"{field.name} must be {field.minimum} or more", column)
        if field.maximum is not None and largest > field.maximum:
            bad = (values > field.maximum) & (values < np.inf)
            yield _Fault(_rows(bad, valid), f"{field.name} must be {field.maximum} or less", column)


def _decimal_faults(field: Field, column: pa.Array) -> Iterator[_Fault]:
    for bound, broken, words in (
        (field.above, pc.less_equal, "above"),
        (field.minimum, pc.less, "at least"),
        (field.maximum, pc.greater, "at most"),
    ):
        if bound is not None:
            bad = pc.fill_null(broken(column, _decimal(bound)), False).to_numpy(
                zero_copy_only=False
            )
            if bad.any():
                yield _Fault(np.flatnonzero(bad), f"{field.name} must be {words} {bound}", column)


@cache
def _decimal(bound: float) -> pa.Scalar:
    return pa.scalar(str(bound)).cast(DECIMAL)


def _time_faults(field: Field, column: pa.Array, valid: Bools | None) -> Iterator[_Fault]:
    times = _values(column, "i8")
    if len(times) and times.min() < EARLIEST_NS:
        yield _Fault(
            _rows(times < EARLIEST_NS, valid), f"{field.name} must be 1900 or later", column
        )


def _string_faults(field: Field, column: pa.Array, *, key: bool) -> Iterator[_Fault]:
    if not field.allowed and not key:
        return
    encoded = pa.types.is_dictionary(column.type)
    words = column.dictionary if encoded else column
    if field.allowed:
        bad = np.array([word not in field.allowed for word in words.to_pylist()], dtype=np.bool_)
        needed = f"{field.name} must be one of {', '.join(field.allowed)}"
    else:
        bad = pc.equal(words, "").fill_null(False).to_numpy(zero_copy_only=False)
        needed = f"{field.name} must not be empty"
    if encoded and bad.any():
        # A dictionary may hold more than its batch uses: only used codes count.
        bad = np.append(bad, False)[_codes(column)]
    if bad.any():
        valid = _valid(column)
        yield _Fault(_rows(bad, valid), needed, column)


def _codes(column: pa.DictionaryArray) -> Int64s:
    """Dictionary codes; -1 for a null."""
    codes: Int64s = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes


def _skew_faults(
    topic: Topic, batch: pa.RecordBatch, valid: Bools | None, latest_ns: int | Int64s
) -> Iterator[_Fault]:
    column = batch.column(topic.event_time)
    times = _values(column, "i8")
    # Times before 1970 and append times cannot overflow here: both are far from int64's ends.
    bad = times > np.asarray(latest_ns, dtype=np.int64) + MAX_SKEW_NS
    if bad.any():
        minutes = MAX_SKEW_NS // 60_000_000_000
        yield _Fault(
            _rows(bad, valid),
            f"{topic.event_time} must be at most {minutes} minutes ahead of the append",
            column,
        )


def _rule_faults(
    rule: Rule, batch: pa.RecordBatch, present: dict[str, Bools | None]
) -> Iterator[_Fault]:
    needs = [present[name] for name in rule.needs]
    gaps = [valid for valid in needs if valid is not None]
    if not gaps or (rule.any_of and len(gaps) < len(needs)):
        return
    column = batch.column(rule.field)
    spoken = np.array([word in rule.values for word in column.dictionary.to_pylist()] + [False])
    if not spoken.any():
        return
    enough = np.logical_or.reduce(gaps) if rule.any_of else np.logical_and.reduce(gaps)
    rows = np.flatnonzero(spoken[_codes(column)] & ~enough)
    if len(rows):
        needed = (" or " if rule.any_of else ", ").join(rule.needs)
        yield _Fault(rows, f"{needed} must be given where {rule.field} is", column, "")


def _words(fault: _Fault, row: int) -> str:
    if fault.column is None:
        return f"{fault.needed}{fault.before_value} null"
    value = fault.column[row]
    text = str(value) if fault.column.type == TIMESTAMP else repr(value.as_py())
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}…"
    return f"{fault.needed}{fault.before_value} {text}"
