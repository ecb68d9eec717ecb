"""Rows behind a window that is closed: in ``late``, with flow, window and reason, from every flow that has windows."""

from pathlib import Path

import numpy as np

from connectors.records import watermarks_batch
from flows.engines import local
from flows.engines.recount import recount
from flows.engines.shard import ShardOptions
from flows.flow import Flow
from schemas.faults import LATE
from tests.conformity.outputs import logged
from tests.conformity.workload import SYMBOLS, Piece, topic_rows
from tests.end_to_end.time_and_lateness.arrivals import (
    PARAMS,
    PARTITIONS,
    UNIVERSES,
    fill,
    moved,
    new_log,
    times_of,
)

# Flows that no row comes too late for, and why.
NO_WINDOWS = {
    "benchmarks": "takes single bars out",
    "breadth_parts": "speaks of each bar as it comes",
    "indicators": "follows the order of bars, which their own windows have made",
    "intake": "decodes what comes, whenever it comes",
    "oms": "takes orders and what became of them in the order of arrival",
    "positions": "books what comes, and tells a late action in ledger_faults",
    "relative": "waits for a benchmark's bar and takes what there is when it has passed",
    "scanner": "looks at each bar as it comes",
    "quotes_arrived_before_trades": "counts in order of arrival",
}


def test_what_comes_behind_a_closed_window_is_told_with_flow_window_and_reason(
    tmp_path: Path, kind: type[Flow]
) -> None:
    made: list[Piece] = []
    for at, declared in enumerate(kind.inputs):
        if declared.inbox:
            continue
        topic = declared.topic
        batch = moved(topic, topic_rows(topic, np.random.default_rng(5), 400, jitter_ns=0), 0)
        keys = UNIVERSES if topic.key == "universe" else SYMBOLS
        # Past every window, session and horizon; and then rows from before that, all of them late.
        year = 365 * 86_400 * 10**9
        past = np.full(len(keys), int(times_of(topic, batch).max()) + year)
        made += [
            Piece(at, batch),
            Piece(at, watermarks_batch(keys, past), is_watermarks=True),
            Piece(at, moved(topic, batch, 10 * year)),
            Piece(at, moved(topic, batch, 1)),
        ]
    with new_log(tmp_path / "log.db") as log:
        fill(log, kind, made)
        local.run_until_end(log, [kind], PARAMS, ShardOptions(idle_commit_s=0.0))
        late = logged(log, LATE).to_pylist()
        checks = recount(log, kind)
    assert [one for one in checks if not one.ok] == []
    if kind.name in NO_WINDOWS:
        assert late == [], NO_WINDOWS[kind.name]
        return
    assert late, f"{kind.name} has windows, or a reason in NO_WINDOWS"
    topics = {one.topic.name for one in kind.inputs}
    for row in late:
        assert row["flow"] == kind.name
        assert row["source_topic"] in topics
        assert row["window"]
        assert row["reason"]
        assert row["ts_event"] <= row["ts_frontier"]
        assert row["ts_window_end"] is None or row["ts_window_end"] <= row["ts_frontier"]
    assert not {row["source_partition"] for row in late} - {*range(PARTITIONS), None}
