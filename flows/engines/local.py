"""The engine in process: synchronous, one shard after the other. For tests, replay and backfill."""

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

from connectors.log import Log
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Flow, Params


def run_until_end(
    log: Log,
    kinds: Sequence[type[Flow]],
    params: Mapping[str, Params] | None = None,
    options: ShardOptions | None = None,
) -> int:
    """Run flows over everything in the log, upstream flows first, and stop at its end.

    Flows that read each other take turns until none of them has anything to read.

    Parameters
    ----------
    log : Log
        Inputs and outputs; the flows' topics are there.
    kinds : sequence of type of Flow
        Which flows.
    params : mapping of flow name to Params
        Parameters; a flow that is not named gets its defaults.
    options : ShardOptions or None
        How the shards work.

    Returns
    -------
    int
        Rows read.
    """
    ordered = in_order(kinds)
    again = bool(cycles(ordered))
    rows = 0
    while True:
        read = 0
        for kind in ordered:
            given = (params or {}).get(kind.name) or kind.params_type()
            for index in range(prepare(log, kind)):
                read += _run_shard(Shard(log, kind, given, index, options or ShardOptions()))
        rows += read
        if not (again and read):
            return rows


def in_order(kinds: Sequence[type[Flow]]) -> list[type[Flow]]:
    """The flows, each behind those that write its inputs; of those that read each other, the first given is first."""
    writers = _writers(kinds)
    place = {kind: at for at, kind in enumerate(kinds)}
    graph = {
        kind: [
            one
            for one in writers[kind]
            if place[one] < place[kind] or kind not in _above(one, writers)
        ]
        for kind in kinds
    }
    return list(TopologicalSorter(graph).static_order())


def cycles(kinds: Sequence[type[Flow]]) -> dict[type[Flow], list[type[Flow]]]:
    """Of each flow that reads, in however many steps, what it has caused: all flows of that cycle."""
    writers = _writers(kinds)
    above = {kind: _above(kind, writers) for kind in kinds}
    return {
        kind: [one for one in kinds if one in above[kind] and kind in above[one]]
        for kind in kinds
        if kind in above[kind]
    }


def _writers(kinds: Sequence[type[Flow]]) -> dict[type[Flow], list[type[Flow]]]:
    """Of each flow, those that write its inputs."""
    by_topic: dict[str, list[type[Flow]]] = {}
    for kind in kinds:
        for topic in kind.outputs:
            by_topic.setdefault(topic.name, []).append(kind)
    return {
        kind: [writer for one in kind.inputs for writer in by_topic.get(one.name, [])]
        for kind in kinds
    }


def _above(kind: type[Flow], writers: dict[type[Flow], list[type[Flow]]]) -> set[type[Flow]]:
    """All whose rows reach a flow, in however many steps; itself, too, where it is in a cycle."""
    found: set[type[Flow]] = set()
    left = list(writers[kind])
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += writers[one]
    return found


def _run_shard(shard: Shard) -> int:
    shard.open()
    rows = 0
    while True:
        before = shard.positions()
        rows += shard.step()
        if shard.positions() == before:
            shard.refuse_to_wait()
            break
    shard.close()
    return rows
