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
    for topic in TOPICS.values():
        names = [topic.name, topic.inbox_name] if topic.inbox else [topic.name]
        for name in names:
            log.create_topic(
                TopicConfig(
                    name=name,
                    partitions=topic.partitions or partitions,
                    retention_ns=topic.retention_ns,
                    synced=topic.synced,
                )
            )
    log.create_topic(receipts_config())
    for name in (FEEDS_TOPIC, LANDINGS_TOPIC):
        log.create_topic(TopicConfig(name=name, partitions=1))
