"""Inboxes of topics that have fewer partitions than the platform."""

from pathlib import Path

import orjson

from connectors.log import NewRecord, open_log
from connectors.topics import create_topics
from flows.engines.local import run_until_end
from flows.intake import Intake

_ACTION = {
    "symbol": "AIG",
    "ts_event": "2024-05-01T12:00:00Z",
    "action": "split",
    "numerator": "2",
    "denominator": "1",
}


def test_every_shard_reads_its_part_of_the_inbox_of_a_topic_with_one_partition(
    tmp_path: Path,
) -> None:
    with open_log(f"sqlite:///{tmp_path}/log.db") as log:
        create_topics(log, 3)
        for partition in range(3):
            value = orjson.dumps({**_ACTION, "action_id": str(partition)})
            log.append([NewRecord("corporate_actions.in", partition, value)])
        run_until_end(log, [Intake])
        assert log.end("corporate_actions", 0) == 3
        assert [log.end("dead_letter", partition) for partition in range(3)] == [0, 0, 0]
