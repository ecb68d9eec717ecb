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
        Where a topic is there with another partition count; an inbox may have more, as others may have added some.
    """
    configs: list[TopicConfig] = []
    known = log.topics()
    for topic in TOPICS.values():
        counts = {topic.name: topic.partitions or partitions}
        if topic.inbox:
            # One flow reads all inboxes, each shard its part of every one.
            there = known.get(topic.inbox_name)
            counts[topic.inbox_name] = max(partitions, there.partitions if there else 0)
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
