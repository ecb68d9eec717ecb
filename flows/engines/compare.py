"""Compares what a flow has emitted with what the log gives when it is computed again, and runs with each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.log import Log
from flows.engines.bounds import ALL, Bounds
from flows.engines.compared_rows import ComputedRows, LoggedRows, RowSource
from flows.engines.differences import Difference, differing_keys, explain
from flows.engines.row_counts import RowCounts
from flows.engines.sides import Side, Summary
from flows.engines.stretches import Stretch, stretch_of
from flows.flow import Flow
from schemas.digest import DigestSum
from schemas.faults import LATE
from schemas.topic import Topic


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A topic as a flow's shard emitted it (the log's side), against the same computed again, or of a run.

    Parameters
    ----------
    flow, shard, topic : str, int, str
        Whose rows.
    in_log, computed : DigestSum
        Rows and digest of each side.
    counts : RowCounts
        Left is ``in_log``.
    difference : Difference or None
        The first one; None where rows, and their order within each key, are the same.
    since : str
        Why not all of the flow's life is compared, and from which commit on; empty where it is, or where
        bounds say so.
    """

    flow: str
    shard: int
    topic: str
    in_log: DigestSum
    computed: DigestSum
    counts: RowCounts
    difference: Difference | None
    since: str = ""

    @property
    def identical(self) -> bool:
        """Whether rows, and their order within each key, are the same."""
        return self.difference is None


def compare(
    log: Log,
    kind: type[Flow],
    shard: int,
    on_rows: Callable[[int], None] | None = None,
    bounds: Bounds = ALL,
) -> list[Comparison]:
    """A shard's outputs in the log against the same computed again from its inputs in the log.

    Parameters
    ----------
    log : Log
        Only read.
    kind : type of Flow
        The flow.
    shard : int
        Which shard.
    on_rows : callable or None
        Told how many rows were emitted again, batch by batch.
    bounds : Bounds
        What is compared; all by default.

    Returns
    -------
    list of Comparison
        One for each topic that either side has rows of.
    """
    # Read once: the shard may go on while it is compared.
    stretch = stretch_of(log, kind, shard, bounds) or Stretch(flow=kind.name, shard=shard)
    computed, logged = ComputedRows(log, kind, stretch), LoggedRows(log, kind, stretch)
    again = summaries(computed, on_rows)
    return compared(
        kind, shard, (logged, summaries(logged)), (computed, again), since=stretch.since
    )


def summaries(
    source: RowSource, on_rows: Callable[[int], None] | None = None
) -> dict[str, Summary]:
    """Each output topic's rows, summed up."""
    sides: dict[str, Side] = {}
    for found in source.rows():
        sides.setdefault(found.topic.name, Side(found.topic)).add(found.batch)
        if on_rows is not None:
            on_rows(found.batch.num_rows)
    return {name: side.summary() for name, side in sides.items()}


def compared(
    kind: type[Flow],
    shard: int,
    left: tuple[RowSource, Mapping[str, Summary]],
    right: tuple[RowSource, Mapping[str, Summary]],
    *,
    since: str = "",
) -> list[Comparison]:
    """What two sides of a shard, summed up already, differ in; rows are read again where they do.

    Parameters
    ----------
    kind, shard : type of Flow, int
        Whose rows.
    left, right : (RowSource, mapping of topic to Summary)
        The log's side, and the other.
    since : str
        As of `Comparison`.
    """
    found = []
    for topic in outputs_of(kind):
        one, other = (side[1].get(topic.name, Summary()) for side in (left, right))
        # Where the log is cut, that nothing has come since must be told, lest nothing look like all.
        told = bool(since) and topic is kind.outputs[0]
        if not one.rows and not other.rows and not told:
            continue
        keys = differing_keys(one, other)
        counts, difference = (
            explain(topic, left[0], right[0], keys) if keys else (RowCounts(), None)
        )
        found.append(
            Comparison(
                flow=kind.name,
                shard=shard,
                topic=topic.name,
                in_log=one.digest,
                computed=other.digest,
                counts=counts,
                difference=difference,
                since=since,
            )
        )
    return found


def outputs_of(kind: type[Flow]) -> tuple[Topic, ...]:
    """A flow's output topics, and ``late``."""
    return (*kind.outputs, LATE)
