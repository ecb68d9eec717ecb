"""Control records: a shard's progress, its snapshots, the lander's intents, the feeds' files.

They are records of ordinary topics whose names begin with an underscore, so that they are kept, read
and replayed like everything else. Their values are JSON with sorted keys.
"""

from typing import Any

import orjson

from connectors.log import NewRecord, Record, TopicConfig
from schemas.codec import HEADER_KIND, KIND_CONTROL

FEEDS_TOPIC = "_feeds"
LANDINGS_TOPIC = "_landings"
RECEIPTS_TOPIC = "_receipts"


def progress_topic(flow: str) -> str:
    """Topic of a flow's progress records; partition *i* is shard *i*."""
    return f"_progress.{flow}"


def snapshots_topic(flow: str) -> str:
    """Topic of a flow's snapshots; partition *i* is shard *i*."""
    return f"_snapshots.{flow}"


def receipts_config() -> TopicConfig:
    """How the log keeps the chain: for ever, and on disk before a head is told."""
    return TopicConfig(name=RECEIPTS_TOPIC, partitions=1, synced=True)


def control_record(topic: str, partition: int, value: dict[str, Any]) -> NewRecord:
    """A control record."""
    return NewRecord(
        topic=topic,
        partition=partition,
        value=orjson.dumps(value, option=orjson.OPT_SORT_KEYS),
        headers=((HEADER_KIND, KIND_CONTROL),),
    )


def control_value(record: Record) -> dict[str, Any]:
    """The value of a control record."""
    value: dict[str, Any] = orjson.loads(record.value or b"{}")
    return value
