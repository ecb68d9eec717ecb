"""Makes, lists and deletes Kafka topics, and knows how many partitions each has."""

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic

from connectors.kafka_options import MAX_RECORD_BYTES, TIMEOUT_S, client_options, log_error
from connectors.kafka_outage import answered, is_away
from connectors.kafka_writer import WRITERS_CONFIG, WRITERS_PARTITIONS, WRITERS_TOPIC
from connectors.log import LogError, NewRecord, TopicConfig, UnknownTopicError

_NS_PER_MS = 1_000_000
_DECLARED = "delete.retention.ms"
_SYNCED = "flush.messages"
_NEEDED = {
    "message.timestamp.type": "LogAppendTime",
    # Kafka would cut by age alone; `connectors.retention` knows what has landed and who reads.
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": str(MAX_RECORD_BYTES),
}
_OPTIONS = (*_NEEDED, _DECLARED, _SYNCED)
# A broker takes a tenth of a second for the options of all topics, and programs that open shards ask dozens of times.
# They change where an operator changes them, or where another process makes a topic anew.
_DESCRIBED_S = 5.0
# A broker that is there answers a first connection in milliseconds, a far one in a second.
_CONNECT_TIMEOUT_S = 5.0


class Topics:
    """The topics of a Kafka cluster.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    """

    def __init__(self, bootstrap: str) -> None:
        said: list[str] = []
        self._admin = AdminClient(
            client_options(bootstrap) | {"error_cb": lambda error: said.append(error.str())}
        )
        self._lock = threading.Lock()
        self._partitions: dict[str, int] = {}
        # Those of which every partition has a leader.
        self._led: set[str] = set()
        self._options: dict[str, dict[str, str]] = {}
        self._described_s = -_DESCRIBED_S
        try:
            self._connect()
        except LogError as error:
            # Why a connection failed (a wrong password, an unknown certificate) is told beside the answer.
            self._admin.poll(0)
            raise LogError(
                f"no Kafka broker answers at {bootstrap} within {_CONNECT_TIMEOUT_S:.0f} s; start "
                "one (`make kafka`) or mend the log URL, or the setting kafka_options where it wants TLS "
                f"or a password ({'; '.join(said[:1]) or error})"
            ) from error

    def create(self, configs: Sequence[TopicConfig]) -> list[TopicConfig]:
        """Make the topics that are not there, with one request; those that were made.

        Raises
        ------
        LogError
            Where one is there with another partition count, or made by another in a way that rows get lost.
        """
        # The cluster's own default replication, as only its operator knows its brokers.
        new = [
            NewTopic(config.name, num_partitions=config.partitions, config=_options_of(config))
            for config in configs
        ]
        made = self._create(new)
        for config in configs:
            if config.name not in made:
                self._refuse_unfit(config.name)
        return [config for config in configs if config.name in made]

    def create_writers(self) -> None:
        """Make the topic of the writers' commit numbers if it is not there."""
        self._create(
            [NewTopic(WRITERS_TOPIC, num_partitions=WRITERS_PARTITIONS, config=WRITERS_CONFIG)]
        )

    def configs(self) -> dict[str, TopicConfig]:
        """All topics but Kafka's own and `WRITERS_TOPIC`, in order of name."""
        self._refresh()
        names = [name for name in sorted(self._partitions) if not _is_internal(name)]
        if not names:
            return {}
        options = self._described(names)
        return {
            name: TopicConfig(
                name=name,
                partitions=self._partitions[name],
                retention_ns=_declared_ns(int(options[name][_DECLARED])),
                synced=options[name][_SYNCED] == "1",
            )
            for name in names
            if name in options
        }

    def counts_now(self, timeout_s: float) -> dict[str, int]:
        """How many partitions each topic has by now; empty where no broker says it within a time."""
        try:
            self._take(self._admin.list_topics(timeout=timeout_s))
        except KafkaException as error:
            if is_away(error.args[0]):
                return {}
            raise log_error(error, "listing topics") from error
        return dict(self._partitions)

    def check(self, topic: str, partition: int) -> None:
        """Raise `UnknownTopicError` where there is no such partition."""
        if partition < self._partitions.get(topic, 0) and partition >= 0:
            return
        self._refresh()
        count = self._partitions.get(topic)
        if count is None:
            raise UnknownTopicError(
                f"no topic {topic!r} in the log; `tapeflow topics` lists what there is"
            )
        if not 0 <= partition < count:
            raise UnknownTopicError(
                f"topic {topic!r} has partitions 0 to {count - 1}, and {partition} was asked for"
            )

    def check_all(self, records: Sequence[NewRecord]) -> None:
        """`check` the topic and partition of every record."""
        for topic, partition in {(record.topic, record.partition) for record in records}:
            self.check(topic, partition)

    def delete(self, name: str) -> int:
        """Delete a topic; how many partitions it had."""
        self.check(name, 0)
        count = self._partitions[name]
        future = self._admin.delete_topics([name], operation_timeout=TIMEOUT_S)[name]
        try:
            future.result()
        except KafkaException as error:
            raise log_error(error, f"deleting topic {name!r}") from error
        self._await(lambda: name not in self._partitions, f"topic {name!r} to go")
        with self._lock:
            self._options.pop(name, None)
        return count

    def _described(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The options of topics that are there still; asked for again where they are older than a few seconds."""
        with self._lock:
            known = self._options
        if time.monotonic() > self._described_s + _DESCRIBED_S:
            known = {}
        unknown = [name for name in names if name not in known]
        if unknown:
            asked_s = time.monotonic()
            found = self._ask_options(unknown)
            with self._lock:
                if not known:
                    self._described_s = asked_s
                known = self._options = known | found
        return known

    def _ask_options(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]

        def ask() -> dict[str, dict[str, str]]:
            asked = self._admin.describe_configs(resources, request_timeout=TIMEOUT_S)
            found = {}
            for resource, future in asked.items():
                try:
                    entries = future.result()
                except KafkaException as error:
                    # Deleted since it was listed, as a replay's topics are, or those of others on the cluster.
                    if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise
                    continue
                found[resource.name] = {option: str(entries[option].value) for option in _OPTIONS}
            return found

        return answered(ask, "listing topics")

    def _refuse_unfit(self, name: str) -> None:
        """Refuse a topic that a producer's first record made, say: rows would go after a week, with its own times."""
        # All at once: whoever makes one topic makes all.
        names = [one for one in sorted(self._partitions) if not _is_internal(one)]
        found = _unfit(self._described(names).get(name, {}))
        if found:
            needed = ",".join(f"{option}={_NEEDED[option]}" for option in found)
            raise LogError(
                f"topic {name!r} is there, and not as Tapeflow makes it: "
                + ", ".join(f"{option} is {value}" for option, value in found.items())
                + f"; `kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config "
                f"{needed}` mends it, or delete it where nothing in it is needed"
            )

    def _create(self, wanted: Sequence[NewTopic]) -> set[str]:
        """Make topics; the names of those that were not there."""
        if any(new.topic not in self._partitions for new in wanted):
            self._refresh()
        missing = [new for new in wanted if new.topic not in self._partitions]
        made = self._asked_for(missing) if missing else set()
        for new in wanted:
            if self._partitions[new.topic] != new.num_partitions:
                raise LogError(
                    f"topic {new.topic!r}: {new.num_partitions} partitions were asked for and it has "
                    f"{self._partitions[new.topic]}; a topic's count is fixed when it is made: use that "
                    "count, or replay into a new topic; where somebody has added partitions to it, see "
                    "'Partitions that others add' in docs/kafka.md"
                )
        return made

    def _asked_for(self, missing: Sequence[NewTopic]) -> set[str]:
        made: set[str] = set()
        asked = self._admin.create_topics(missing, request_timeout=TIMEOUT_S)
        for name, future in asked.items():
            try:
                future.result()
                made.add(name)
            except KafkaException as error:
                # Another made it, at the same time or a moment ago: the broker asked had not heard of it.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise log_error(error, f"creating topic {name!r}") from error
        names = set(asked)
        self._await(lambda: names <= self._led, f"topics {', '.join(sorted(names))} to appear")
        return made

    def _await(self, done: Callable[[], bool], what: str) -> None:
        # The controller has done it; the broker that answers us hears of it a little later.
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            self._refresh()
            if done():
                return
            if time.monotonic() > deadline:
                raise LogError(f"waited {TIMEOUT_S} s for {what}; is the controller healthy?")
            time.sleep(0.01)

    def _connect(self) -> None:
        try:
            self._take(self._admin.list_topics(timeout=_CONNECT_TIMEOUT_S))
        except KafkaException as error:
            raise log_error(error, "listing topics") from error

    def _refresh(self) -> None:
        # All topics at once: asking for one by name can make it, where brokers allow that.
        self._take(answered(lambda: self._admin.list_topics(timeout=TIMEOUT_S), "listing topics"))

    def _take(self, metadata: ClusterMetadata) -> None:
        there = {name: one.partitions for name, one in metadata.topics.items() if one.error is None}
        with self._lock:
            # Also where brokers that have a partition are away: a topic that is there and was taken for missing had
            # no holds in it heeded, no progress, no faults.
            self._partitions = {name: len(partitions) for name, partitions in there.items()}
            self._led = {
                name
                for name, partitions in there.items()
                if all(one.leader >= 0 for one in partitions.values())
            }


def _options_of(config: TopicConfig) -> dict[str, str]:
    return {
        **_NEEDED,
        # Of no use to Kafka here (it is for compaction): it holds what the topic declares.
        _DECLARED: str(_declared_ms(config.retention_ns)),
        # With 1, every append is on disk before it is acknowledged.
        **({_SYNCED: "1"} if config.synced else {}),
    }


def _unfit(options: dict[str, str]) -> dict[str, str]:
    """Options of a topic that are not as they must be, with their values."""
    return {
        option: value
        for option, value in options.items()
        if option in _NEEDED
        and (
            int(value) < MAX_RECORD_BYTES
            if option == "max.message.bytes"
            else value != _NEEDED[option]
        )
    }


def _is_internal(name: str) -> bool:
    return name.startswith("__") or name == WRITERS_TOPIC


def _declared_ms(retention_ns: int | None) -> int:
    # Rounded up: retention is the least age at which a record may go.
    return 0 if retention_ns is None else -(-retention_ns // _NS_PER_MS)


def _declared_ns(declared_ms: int) -> int | None:
    return None if declared_ms == 0 else declared_ms * _NS_PER_MS
