"""Seeded inputs for any flow, made from its topics' declarations: rows, watermarks, foreign bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import NewRecord
from connectors.records import Partitioner, rows_record, watermarks_batch, watermarks_record
from flows.engines.segments import Segment
from flows.flow import INBOX_SCHEMA, Flow, Input, InputRows
from schemas.field import (
    BOOL,
    CATEGORY,
    DECIMAL,
    FLOAT,
    INT32,
    INT64,
    TEXT,
    TIMESTAMP,
    UINT64,
    Field,
)
from schemas.order_ids import order_ids_of
from schemas.topic import Topic

START_NS = 1_381_152_600_000_000_000  # 2013-10-07 13:30 UTC
SYMBOLS = ["AIG", "BAC", "IBM", "SPY", "GOOG", "AAPL", "MSFT"]
KNOWN_VALUES = {
    "symbol": SYMBOLS,
    "interval": ["1m", "5m", "1h"],
    "venue": ["N", "Q", "D"],
    "universe": ["ALL", "sector:Energy"],
    "account": ["A1", "A2", "A3", "*"],
    "currency": ["USD", "EUR", "JPY"],
    **{
        name: [f"{name[0]}{number}" for number in range(100)]
        for name in ("order_id", "client_order_id", "execution_id", "movement_id", "action_id")
    },
}


@dataclass(frozen=True)
class Piece:
    """Rows or watermarks of one input, as they follow one another in one partition."""

    input: int
    batch: pa.RecordBatch
    is_watermarks: bool = False


def pieces(
    kind: type[Flow], seed: int, rows: int, *, jitter_ns: int = 2_000_000_000
) -> list[Piece]:
    """About ``rows`` rows for each input of a flow, cut at random, with watermarks between them.

    Of foreign JSON a quarter: a row of it takes a hundred times as long.
    """
    rng = np.random.default_rng(seed)
    made: list[list[Piece]] = []
    wanted = rows
    for at, declared in enumerate(kind.inputs):
        rows = wanted // 4 if declared.inbox else wanted
        batch = (
            foreign(declared, rng, rows)
            if declared.inbox
            else topic_rows(declared.topic, rng, rows, jitter_ns)
        )
        cuts = np.sort(rng.integers(0, rows + 1, size=6))
        own: list[Piece] = []
        for begin, end in zip([0, *cuts], [*cuts, rows], strict=True):
            if end > begin:
                own.append(Piece(at, batch.slice(begin, end - begin)))
                if not declared.inbox and rng.random() < 0.6:
                    own.append(
                        Piece(
                            at, _watermarks(declared.topic, own[-1].batch, rng), is_watermarks=True
                        )
                    )
        if not declared.inbox:
            own.append(Piece(at, _last_watermarks(declared.topic, batch), is_watermarks=True))
        made.append(own)
    return list(interleaved(made, rng))


def interleaved(streams: list[list[Piece]], rng: np.random.Generator) -> Iterator[Piece]:
    """The streams' pieces in a random interleaving; order within a stream is kept."""
    places = [0] * len(streams)
    while True:
        open_ = [at for at, place in enumerate(places) if place < len(streams[at])]
        if not open_:
            return
        at = int(rng.choice(open_))
        yield streams[at][places[at]]
        places[at] += 1


def topic_rows(topic: Topic, rng: np.random.Generator, rows: int, jitter_ns: int) -> pa.RecordBatch:
    """Valid-looking rows of a topic: numbers over six decades, time going on with jitter."""
    steps = rng.integers(0, 400_000_000, size=rows)
    times = START_NS + np.cumsum(steps)
    times = times - rng.integers(0, jitter_ns + 1, size=rows) * (rng.random(rows) < 0.05)
    columns = {field.name: _column(field, rng, rows) for field in topic.fields}
    columns[topic.event_time] = pa.array(times, pa.int64()).cast(TIMESTAMP)
    if topic.name == "trades":
        columns |= _corrections(columns, rng, rows)
    elif topic.rules:
        columns |= _ruled(topic, columns, rng, rows)
    if topic.name in _RELATED:
        columns |= _related(topic, columns, rng, rows)
    return topic.batch(columns)


_RELATED = ("accounts", "cash_movements", "instruments", "orders", "executions", "order_reports")


def _related(
    topic: Topic, columns: dict[str, pa.Array], rng: np.random.Generator, rows: int
) -> dict[str, pa.Array]:
    """Columns with which rows of order flows mean each other now and then, so that some orders are accepted."""
    mostly = pa.array(rng.random(rows) < 0.98)

    def given(name: str, value: object) -> pa.Array:
        """One value in most rows."""
        kind = TEXT if topic.field(name).type == CATEGORY else topic.field(name).type
        return pc.if_else(mostly, pa.scalar(value, kind), columns[name].cast(kind))

    if topic.name == "accounts":
        limits = [one.name for one in topic.fields if one.name.startswith("max_")]
        free = {name: given(name, None) for name in (*limits, "price_collar")}
        return free | {name: given(name, value) for name, value in _OPEN_ACCOUNT}
    if topic.name == "cash_movements":
        return {"amount": given("amount", Decimal(10**8)), "currency": given("currency", "USD")}
    if topic.name == "instruments":
        return {name: given(name, value) for name, value in _PLAIN_INSTRUMENT}
    clients = [f"c{one}" for one in rng.integers(0, 100, rows)]
    names = order_ids_of(columns["account"].cast(TEXT).to_pylist(), clients)
    changed = {"order_id": pc.if_else(mostly, pa.array(names, TEXT), columns["order_id"])}
    if topic.name != "order_reports":
        changed["client_order_id"] = pa.array(clients, TEXT)
    if topic.name == "orders":
        whole = pc.ceil(columns["quantity"].cast(FLOAT)).cast(DECIMAL)
        changed |= {name: given(name, value) for name, value in _PLAIN_ORDER}
        changed["quantity"] = pc.if_else(mostly, whole, columns["quantity"])
        changed["command"] = pc.if_else(
            pa.array(rng.random(rows) < 0.5), "new", columns["command"].cast(TEXT)
        )
    return changed


_OPEN_ACCOUNT = (("halted", False), ("type", "margin"), ("currency", "USD"))
_PLAIN_INSTRUMENT = (
    *(("tick_size", 0.01), ("lot_size", None), ("is_active", True)),
    *(("type", "currency"), ("currency", "USD")),
)
_PLAIN_ORDER = (("order_class", "simple"), ("display_quantity", None))


def _ruled(
    topic: Topic, columns: dict[str, pa.Array], rng: np.random.Generator, rows: int
) -> dict[str, pa.Array]:
    """The columns that the topic's rules speak of, with a value in every row."""
    needed = {name for rule in topic.rules for name in rule.needs}
    return {
        name: columns[name].fill_null(
            _column(replace(topic.field(name), nullable=False), rng, 1)[0]
        )
        for name in sorted(needed)
    }


def _corrections(
    columns: dict[str, pa.Array], rng: np.random.Generator, rows: int
) -> dict[str, pa.Array]:
    """One trade in fifty is a correction, mostly of a trade not long before; most trades have a name."""
    names = np.array([f"T{at}" for at in range(rows)], dtype=object)
    names[rng.random(rows) < 0.0001] = None
    at = np.flatnonzero(rng.random(rows) < 0.02)
    meant = np.maximum(at - rng.integers(1, 2_000, size=len(at)), 0)
    actions = np.zeros(rows, dtype=np.int32)
    actions[at] = rng.integers(1, 3, size=len(at))
    refs = np.full(rows, None, dtype=object)
    refs[at] = names[meant]
    times = columns["ts_event"].cast(pa.int64()).to_numpy()
    ts_refs = np.zeros(rows, dtype=np.int64)
    ts_refs[at] = times[meant]
    told = np.zeros(rows, dtype=bool)
    told[at] = rng.random(len(at)) < 0.5
    taken = np.arange(rows)
    taken[at] = meant
    return {
        "symbol": columns["symbol"].take(pa.array(taken)),
        "venue": columns["venue"].take(pa.array(taken)),
        "trade_id": pa.array(names, pa.string()),
        "action": pa.DictionaryArray.from_arrays(actions, ["new", "correct", "cancel"]),
        "ref_trade_id": pa.array(refs, pa.string()),
        "ts_ref": pa.array(ts_refs, pa.int64(), mask=~told).cast(TIMESTAMP),
    }


def foreign(declared: Input, rng: np.random.Generator, rows: int) -> pa.RecordBatch:
    """Records that others wrote to an inbox: most are good JSON, some are not."""
    values: list[bytes | None] = []
    times = START_NS + np.cumsum(rng.integers(0, 400_000_000, size=rows))
    base = {"symbol": "AIG", "venue": "N", "ts_event": 0, "price": 10.5, "size": 100.0}
    for at in range(rows):
        event = base | {"symbol": str(rng.choice(SYMBOLS)), "ts_event": int(times[at])}
        if declared.topic.name == "quotes":
            event = {k: event[k] for k in ("symbol", "venue", "ts_event")} | {
                "bid": 10.0,
                "bid_size": 5.0,
            }
        if declared.topic.name == "book_events":
            event |= {"action": "add", "order_id": at, "side": "buy"}
        bad = [b"{", b"\xff\xfe", None, b"", orjson.dumps(event | {"price": "text", "bid": "text"})]
        good = [
            orjson.dumps(event),
            orjson.dumps([event, event]),
            orjson.dumps(event) + b"\n" + orjson.dumps(event),
        ]
        pick = rng.random()
        values.append(
            bad[int(rng.integers(5))]
            if pick < 0.1
            else good[0 if pick < 0.8 else int(rng.integers(1, 3))]
        )
    return pa.RecordBatch.from_arrays(
        [
            pa.array(values, pa.binary()),
            pa.array(times + 1_000_000, pa.int64()),
            pa.nulls(rows, pa.string()),
        ],
        schema=INBOX_SCHEMA,
    )


def segments(kind: type[Flow], made: list[Piece], cut: int | None = None) -> list[Segment]:
    """The pieces as segments with log positions, each cut into batches of ``cut`` rows.

    Positions do not depend on the cut: a piece is one log record, however it is handed over.
    """
    offsets = [0] * len(kind.inputs)
    found: list[Segment] = []
    for piece in made:
        if piece.is_watermarks:
            found.append(Segment(input=piece.input, watermarks=piece.batch))
            offsets[piece.input] += 1
            continue
        count = piece.batch.num_rows
        for begin in range(0, count, cut or count):
            part = piece.batch.slice(begin, cut or count)
            own = np.arange(begin, begin + part.num_rows)
            inbox = kind.inputs[piece.input].inbox
            rows = InputRows(
                batch=part,
                partition=0,
                offset=offsets[piece.input] + (own if inbox else np.zeros_like(own)),
                row=np.zeros(len(own), np.int32) if inbox else own.astype(np.int32),
            )
            found.append(Segment(input=piece.input, rows=rows))
        offsets[piece.input] += count if kind.inputs[piece.input].inbox else 1
    return found


def records(kind: type[Flow], made: list[Piece], partitions: int) -> list[NewRecord]:
    """The pieces as log records, each row in its key's partition."""
    found: list[NewRecord] = []
    for piece in made:
        declared = kind.inputs[piece.input]
        if declared.inbox:
            found += [
                NewRecord(declared.name, at % partitions, value)
                for at, value in enumerate(piece.batch.column("value").to_pylist())
            ]
            continue
        keys = piece.batch.column("key" if piece.is_watermarks else declared.topic.key)
        count = declared.topic.partitions or partitions
        for partition, part in Partitioner(count).split(keys, piece.batch):
            if piece.is_watermarks:
                found.append(watermarks_record(declared.name, partition, part))
            else:
                found.append(rows_record(declared.topic, partition, part))
    return found


def _column(field: Field, rng: np.random.Generator, rows: int) -> pa.Array:
    missing = rng.random(rows) < 0.1 if field.nullable else np.zeros(rows, dtype=bool)
    if field.type in (CATEGORY, TEXT):
        known = list(field.allowed) or KNOWN_VALUES.get(field.name, ["a", "b"])
        codes = pa.array(rng.integers(0, len(known), size=rows).astype(np.int32), mask=missing)
        column = pa.DictionaryArray.from_arrays(codes, pa.array(known))
        return column if field.type == CATEGORY else column.cast(TEXT)
    if field.type == BOOL:
        return pa.array(rng.random(rows) < 0.85, mask=missing)
    if field.type == FLOAT:
        return pa.array(10.0 ** rng.uniform(-2, 4, size=rows), mask=missing)
    if field.type in (INT32, INT64, UINT64):
        numbers = rng.integers(int(field.minimum or 0), 1000, size=rows)
        return pa.array(numbers, mask=missing).cast(field.type)
    if field.type == DECIMAL:
        cents = rng.integers(
            100 * int(field.minimum or 0) + 1, 100 * int(field.maximum or 10_000), size=rows
        )
        return pa.array([Decimal(int(one)) / 100 for one in cents], DECIMAL, mask=missing)
    if field.type == TIMESTAMP:
        times = START_NS + rng.integers(0, 10**12, size=rows)
        return pa.array(times, mask=missing).cast(TIMESTAMP)
    raise AssertionError(field)


def _watermarks(topic: Topic, batch: pa.RecordBatch, rng: np.random.Generator) -> pa.RecordBatch:
    keys = sorted(set(batch.column(topic.key).to_pylist()))
    keys = [key for key in keys if rng.random() < 0.7] or keys[:1]
    newest = int(np.max(batch.column(topic.event_time).cast(pa.int64()).to_numpy()))
    times = newest + rng.integers(-5_000_000_000, 5_000_000_000, size=len(keys))
    return watermarks_batch(keys, times)


def _last_watermarks(topic: Topic, batch: pa.RecordBatch) -> pa.RecordBatch:
    newest = int(np.max(batch.column(topic.event_time).cast(pa.int64()).to_numpy()))
    return watermarks_batch(SYMBOLS, np.full(len(SYMBOLS), newest + 7 * 86_400_000_000_000))
