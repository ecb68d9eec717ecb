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
    rows = 0
    for kind in in_order(kinds):
        given = (params or {}).get(kind.name) or kind.params_type()
        for index in range(prepare(log, kind)):
            rows += _run_shard(Shard(log, kind, given, index, options or ShardOptions()))
    return rows


def in_order(kinds: Sequence[type[Flow]]) -> list[type[Flow]]:
    """The flows, each behind those that write its inputs."""
    writers: dict[str, list[type[Flow]]] = {}
    for kind in kinds:
        for topic in kind.outputs:
            writers.setdefault(topic.name, []).append(kind)
    graph = {
        kind: [writer for one in kind.inputs for writer in writers.get(one.name, [])]
        for kind in kinds
    }
    return list(TopologicalSorter(graph).static_order())


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
