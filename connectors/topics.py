"""Makes the registry's topics, their inboxes and the control topics in a log."""

from connectors.control import FEEDS_TOPIC, LANDINGS_TOPIC, receipts_config
from connectors.log import Log, TopicConfig
from schemas.registry import TOPICS


def create_topics(log: Log, partitions: int) -> None:
    """Make every topic that the log does not have yet.

    Parameters
    ----------
    log : Log
        Where.
    partitions : int
        Count for topics that hold rows; fixed from then on.

    Raises
    ------
    LogError
        Where a topic is there with another partition count.
    """
    configs: list[TopicConfig] = []
    for topic in TOPICS.values():
        counts = {topic.name: topic.partitions or partitions}
        if topic.inbox:
            # One flow reads all inboxes, each shard its partition of every one.
            counts[topic.inbox_name] = partitions
        for name, count in counts.items():
            configs.append(
                TopicConfig(
                    name=name,
                    partitions=count,
                    retention_ns=topic.retention_ns,
                    synced=topic.synced,
                )
            )
    configs.append(receipts_config())
    configs.extend(TopicConfig(name=name, partitions=1) for name in (FEEDS_TOPIC, LANDINGS_TOPIC))
    log.create_topics(configs)
