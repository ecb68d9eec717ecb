"""Rows as they arrive: sources with delays of their own, out of order, cut at random, with watermark rows between."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from connectors.log import Log, TopicConfig, open_log
from connectors.records import watermarks_batch
from connectors.topics import create_topics
from flows.book import BookParams
from flows.engines import bytewax, local
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Flow, Input, Params
from flows.scanner import SavedScan, ScannerParams
from schemas.faults import LATE
from schemas.field import TIMESTAMP
from schemas.topic import Topic
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.conformity.workload import SYMBOLS, Piece, foreign, interleaved, records, topic_rows

PARTITIONS = 2
SECOND = 1_000_000_000
# Rows of a source in an input.
ROWS = 90
# Of flows that would give nothing, or have no windows, without.
PARAMS: dict[str, Params] = {
    "book": BookParams(conflation_ms=250),
    "scanner": ScannerParams(scans={"up": SavedScan(expression="close > open", interval="1m")}),
}
UNIVERSES = ["ALL", "sector:Energy"]
# Where a row lay in the log: that hangs on how the log was cut into records.
PLACES = {"source_offset", "source_row", "ts_recv"}


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """How rows come to a log.

    Parameters
    ----------
    seed : int
        Of the rows themselves.
    delays_s : tuple of int
        A source each: how long its rows are on their way.
    jitter_s : int
        How much longer single rows are, at the most: they come out of order.
    cut : int
        Rows of a record, at the most.
    watermarks : float
        Share of records that watermark rows follow.
    """

    seed: int
    delays_s: tuple[int, ...]
    jitter_s: int
    cut: int
    watermarks: float

    def pieces(self, kind: type[Flow]) -> list[Piece]:
        """The rows and watermark rows of each input of a flow, inputs interleaved at random."""
        rng = np.random.default_rng(self.seed)
        streams = [
            self._foreign(at, declared, rng) if declared.inbox else self._stream(at, declared, rng)
            for at, declared in enumerate(kind.inputs)
        ]
        return list(interleaved(streams, rng))

    def recut(self, kind: type[Flow], made: list[Piece], cut: int) -> list[Piece]:
        """The same rows in the same order, in records of another size."""
        found: list[Piece] = []
        for piece in made:
            if piece.is_watermarks or kind.inputs[piece.input].inbox:
                found.append(piece)
                continue
            size = piece.batch.num_rows
            found += [
                replace(piece, batch=piece.batch.slice(at, cut)) for at in range(0, size, cut)
            ]
        return found

    def _stream(self, at: int, declared: Input, rng: np.random.Generator) -> list[Piece]:
        topic = declared.topic
        parts, arrival = [], []
        for delay in self.delays_s:
            batch = topic_rows(topic, rng, ROWS, jitter_ns=0)
            late = rng.integers(0, self.jitter_s + 1, size=ROWS) * (rng.random(ROWS) < 0.2)
            parts.append(batch)
            arrival.append(times_of(topic, batch) + (delay + late) * SECOND)
        whole = pa.Table.from_batches(parts).combine_chunks()
        order = np.argsort(np.concatenate(arrival), kind="stable")
        [batch] = whole.take(pa.array(order)).combine_chunks().to_batches()
        batch = moved(topic, batch, 0)
        keys = UNIVERSES if topic.key == "universe" else SYMBOLS
        found: list[Piece] = []
        begin = 0
        while begin < batch.num_rows:
            part = batch.slice(begin, int(rng.integers(1, self.cut + 1)))
            begin += part.num_rows
            found.append(Piece(at, part))
            if rng.random() < self.watermarks:
                said = [key for key in keys if rng.random() < 0.6] or keys[:1]
                newest = int(times_of(topic, part).max())
                times = newest + rng.integers(-20 * SECOND, 2 * SECOND, size=len(said))
                found.append(Piece(at, watermarks_batch(said, times), is_watermarks=True))
        end = int(times_of(topic, batch).max()) + 7 * 86_400 * SECOND
        last = watermarks_batch(keys, np.full(len(keys), end))
        return [*found, Piece(at, last, is_watermarks=True)]

    def _foreign(self, at: int, declared: Input, rng: np.random.Generator) -> list[Piece]:
        batch = foreign(declared, rng, ROWS)
        cuts = range(0, ROWS, self.cut)
        return [Piece(at, batch.slice(begin, self.cut)) for begin in cuts]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run over what is in the log: who computes, and how it is cut.

    Parameters
    ----------
    engine : str
        ``local``, ``bytewax``, or ``killed``: some steps of each shard, which is then let go without a word.
    options : ShardOptions
        How much is read, committed and kept at a time.
    """

    engine: str
    options: ShardOptions

    def over(self, log: Log, kind: type[Flow]) -> None:
        """Compute."""
        if self.engine == "local":
            local.run_until_end(log, [kind], PARAMS, self.options)
        elif self.engine == "bytewax":
            bytewax.run_kinds(log, [kind], PARAMS, workers=2, until_end=True, options=self.options)
        else:
            for index in range(prepare(log, kind)):
                shard = Shard(log, kind, params_of(kind), index, self.options)
                shard.open()
                shard.step()
                shard.step()


@st.composite
def arrivals(draw: st.DrawFn) -> Arrivals:
    """Any number of sources with any delays."""
    return Arrivals(
        seed=draw(st.integers(0, 2**32 - 1)),
        delays_s=tuple(draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))),
        jitter_s=draw(st.integers(5, 30)),
        cut=draw(st.integers(5, 60)),
        watermarks=draw(st.sampled_from([0.3, 0.0, 0.8])),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Any engine, any cuts."""
    return Run(
        engine=draw(st.sampled_from(["local", "killed", "bytewax"])),
        options=ShardOptions(
            read_bytes=draw(st.sampled_from([1, 5_000, 1 << 20])),
            commit_rows=draw(st.sampled_from([1, 50, 10_000])),
            snapshot_rows=draw(st.sampled_from([1, 100, 10_000])),
            idle_commit_s=0.0,
        ),
    )


def params_of(kind: type[Flow]) -> Params:
    """The parameters that a flow is run with."""
    return PARAMS.get(kind.name) or kind.params_type()


def new_log(path: Path) -> Log:
    """An empty log with every topic."""
    log = open_log(f"sqlite:///{path}")
    create_topics(log, PARTITIONS)
    log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=PARTITIONS))
    return log


def fill(
    log: Log, kind: type[Flow], made: list[Piece], pace: Iterable[tuple[int, Run]] = ()
) -> None:
    """Append pieces one by one; behind some of them the flow runs over what has come so far."""
    at_piece = dict(pace)
    for number, piece in enumerate(made):
        log.append(records(kind, [piece], PARTITIONS))
        if number in at_piece:
            at_piece[number].over(log, kind)


def given(
    log: Log, kind: type[Flow], keep: Callable[[pa.Table], pa.Table] = lambda table: table
) -> dict[str, pa.Table]:
    """What a flow wrote, late rows among it, without what hangs on how records were cut."""
    found = {}
    for topic in (*kind.outputs, LATE):
        table = keep(logged(log, topic))
        kept = table.select([name for name in table.column_names if name not in PLACES])
        found[topic.name] = in_any_order(kept)
    return found


def in_any_order(table: pa.Table) -> pa.Table:
    """The rows, sorted by all their columns."""
    return table.sort_by([(name, "ascending") for name in table.column_names]).combine_chunks()


def times_of(topic: Topic, batch: pa.RecordBatch) -> np.ndarray:
    """Event times, ns."""
    return batch.column(topic.event_time).cast(pa.int64()).to_numpy()


def moved(topic: Topic, batch: pa.RecordBatch, by_ns: int) -> pa.RecordBatch:
    """The rows at other times, and with other names: no derived row is in a log twice."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns[topic.event_time] = pa.array(times_of(topic, batch) + by_ns).cast(TIMESTAMP)
    if "number" in topic.identity:
        columns["number"] = pa.array(np.arange(batch.num_rows) + 1_000 * (by_ns % 7))
    return topic.batch(columns)


def shifted(kind: type[Flow], piece: Piece, keys: set[str], by_ns: int) -> Piece:
    """The piece with other times for some of its keys."""
    topic = kind.inputs[piece.input].topic
    name, key = ("ts_event", "key") if piece.is_watermarks else (topic.event_time, topic.key)
    mine = pc.is_in(
        piece.batch.column(key).cast(pa.string()), value_set=pa.array(sorted(keys), pa.string())
    )
    times = piece.batch.column(name).cast(pa.int64())
    other = pc.if_else(mine, pc.add(times, by_ns), times).cast(TIMESTAMP)
    place = piece.batch.schema.get_field_index(name)
    return replace(
        piece, batch=piece.batch.set_column(place, piece.batch.schema.field(place), other)
    )


def only(kind: type[Flow], piece: Piece, keys: set[str]) -> Piece | None:
    """The rows of some keys of a piece; None where it has none."""
    topic = kind.inputs[piece.input].topic
    column = piece.batch.column("key" if piece.is_watermarks else topic.key).cast(pa.string())
    batch = piece.batch.filter(pc.is_in(column, value_set=pa.array(sorted(keys), pa.string())))
    return replace(piece, batch=batch) if batch.num_rows else None
