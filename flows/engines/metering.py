"""The engine's hook for metrics: told of every commit of a shard, it counts rows and commits."""

from collections.abc import Sequence

from connectors.log import NewRecord
from connectors.metrics import (
    FLOW_COMMITS,
    FLOW_PAUSED,
    FLOW_ROWS_HELD,
    FLOW_ROWS_IN,
    FLOW_ROWS_OUT,
)
from flows.engines.progress import Progress
from schemas.codec import HEADER_ROWS

_BECAME = ("read", "used", "late", "missed", "rejected")


class FlowMeter:
    """Counts what shards commit; `flows.engines.shard_options.ShardOptions.on_commit` takes it.

    Rows in and commits are those of the progress record, which go on over restarts: a program's first
    commit counts all that the flow has ever read.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, ...], int] = {}

    def __call__(self, progress: Progress, records: Sequence[NewRecord]) -> None:
        """Count a commit.

        Parameters
        ----------
        progress : Progress
            As it was committed.
        records : sequence of NewRecord
            What was committed with it.
        """
        flow, shard = progress.flow, str(progress.shard)
        FLOW_COMMITS.labels(flow, shard).inc(self._more((flow, shard), progress.number))
        for name, counts in progress.counts.items():
            for became in _BECAME:
                more = self._more((flow, shard, name, became), getattr(counts, became))
                FLOW_ROWS_IN.labels(flow, shard, name, became).inc(more)
            FLOW_ROWS_HELD.labels(flow, shard, name).set(counts.held)
            FLOW_PAUSED.labels(flow, shard, name).set(name in progress.paused)
        for record in records:
            rows = dict(record.headers).get(HEADER_ROWS)
            if rows is not None:
                FLOW_ROWS_OUT.labels(flow, shard, record.topic).inc(int(rows))

    def _more(self, what: tuple[str, ...], total: int) -> int:
        more = total - self._told.get(what, 0)
        self._told[what] = total
        return more
