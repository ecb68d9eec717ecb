"""How Tapeflow talks to Kafka: the options of each client, and Kafka's errors as the log's errors."""

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.log import (
    CorruptLogError,
    FencedError,
    LogError,
    TruncatedError,
    UnknownTopicError,
)

# The largest record; infra/kafka/server.properties and every topic that we make allow the same.
MAX_RECORD_BYTES = 64 << 20
# What a consumer unpacks of one batch at the most, where it is packed with zstd: all that the client allows. Brokers
# bound what is packed, and of the other kinds the client unpacks any size.
_UNPACKED_MAX_BYTES = (1 << 31) - 1
# How long one request to the broker may take before it is an error that names the broker.
TIMEOUT_S = 30.0
# For how long brokers that were there may be away: a restart, a move of all leaders, a minute's maintenance.
RIDE_OUT_S = 120.0
# A transaction lives within one `Writer.commit`. Readers of its partitions wait behind a writer that
# was killed inside one for at most this long (less where it is started again: that aborts it).
TRANSACTION_TIMEOUT_MS = 20_000

# librdkafka writes to stderr by itself; a library stays silent, so its words go to `logging`.
_LOGGER = logging.getLogger("connectors.kafka")
_LOGGER.addHandler(logging.NullHandler())


def local_error(name: str) -> int:
    """Code of an error that the client itself found; such names begin with an underscore in librdkafka."""
    return int(getattr(KafkaError, f"_{name}"))


_UNKNOWN = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
    local_error("UNKNOWN_TOPIC"),
    local_error("UNKNOWN_PARTITION"),
}
# A partition's leader is moving, or was just made: ask again.
MOVING = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    local_error("TRANSPORT"),
}
_FENCED = {
    local_error("FENCED"),
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
}
_TRUNCATED = {KafkaError.OFFSET_OUT_OF_RANGE, local_error("AUTO_OFFSET_RESET")}
_CORRUPT = {local_error("BAD_MSG"), KafkaError.INVALID_MSG, local_error("BAD_COMPRESSION")}


# What a cluster asks of its clients (SASL, TLS and the like), by its addresses: a log is opened by its URL
# alone in many places, and a password in a URL would be in every message that names the log.
_GIVEN: dict[str, dict[str, str]] = {}
_SECRET_CHARACTERS = 6
# What exactly once hangs on; everything else is the cluster's and its operator's business.
OURS = frozenset(
    {
        "acks",
        "request.required.acks",
        "allow.auto.create.topics",
        "auto.offset.reset",
        "bootstrap.servers",
        "metadata.broker.list",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "isolation.level",
        "transactional.id",
        # Ours in Python, which no text can be.
        "error_cb",
        "logger",
        "on_delivery",
        "stats_cb",
        "throttle_cb",
    }
)


def use_options(url: str, options: Mapping[str, str]) -> None:
    """Talk to a log's brokers with these options of librdkafka too, in this process, from now on.

    Parameters
    ----------
    url : str
        The log's URL.
    options : mapping of str to str
        Such as ``security.protocol``; values may be secrets, and are in no message and no log line.

    Raises
    ------
    LogError
        For an option that is not the operator's to set, or that librdkafka does not know.
    """
    fixed = sorted(OURS & set(options))
    if fixed:
        raise LogError(
            f"kafka_options: {', '.join(fixed)} cannot be set: what Tapeflow promises hangs on it"
        )
    try:
        # Nothing is asked of a broker yet: this finds misspelt names, unreadable certificates and the like.
        # With what ours has beside them: some do not go together (retries = 0 and idempotence).
        Producer({**options, "logger": _LOGGER, "acks": "all", "enable.idempotence": True})
    except KafkaException as error:
        raise LogError(f"kafka_options: {_without(options, error.args[0].str())}") from error
    _GIVEN[addresses(url)] = dict(options)


def _without(options: Mapping[str, str], text: str) -> str:
    """A message of librdkafka without the values that it may repeat."""
    for value in filter(None, options.values()):
        text = text.replace(f'"{value}"', '"…"')
        # A short one, as ssl is, may well be a part of a name.
        if len(value) >= _SECRET_CHARACTERS:
            text = text.replace(value, "…")
    return text


def addresses(url: str) -> str:
    """The bootstrap servers that a log URL names.

    Raises
    ------
    LogError
        Where it names no host with a port.
    """
    hosts = url.removeprefix("kafka://").rstrip("/")
    if "@" in hosts:
        # Not repeated: what stands before the @ may be a password.
        raise LogError(
            "log URL kafka://…@…: user and password are no part of it; say them with the setting kafka_options "
            "(sasl.username, sasl.password)"
        )
    for host in hosts.split(","):
        name, _, port = host.rpartition(":")
        if not name or not port.isdigit():
            raise LogError(
                f"log URL {url!r}: {host!r} is no host:port; write kafka://127.0.0.1:9092 or "
                "kafka://one:9092,two:9092"
            )
    return hosts


def client_options(bootstrap: str) -> dict[str, Any]:
    """Options that every client shares; the operator's own (`use_options`) go before ours."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "tapeflow",
        "logger": _LOGGER,
        "socket.timeout.ms": int(TIMEOUT_S * 1000),
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        # A new client waits for half of this before it connects to a second address, and each one does: the first
        # is the one that it was given.
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 2_000,
        "retry.backoff.ms": 50,
        # A topic is there when `create_topic` returns: one that brokers do not know was deleted by
        # another process, and waiting half a minute for it (the default) helps nobody.
        "topic.metadata.propagation.max.ms": 1_000,
        # A producer that was told of no leader, as by a broker that had slept, would ask again in 5 minutes, when its
        # records' time is long over.
        "topic.metadata.refresh.interval.ms": 10_000,
        **_GIVEN.get(bootstrap, {}),
    }


def producer_options(bootstrap: str) -> dict[str, Any]:
    """Options of a producer whose appends are acknowledged by all replicas, once and in order."""
    return client_options(bootstrap) | {
        "acks": "all",
        "enable.idempotence": True,
        # Arrow values are LZ4 already, and go as they are where packing them again makes them no smaller; JSON
        # and control records become a third.
        "compression.type": "lz4",
        "message.max.bytes": MAX_RECORD_BYTES,
        # Every append ends with a flush, which sends at once; until then, small records may gather.
        "linger.ms": 5,
        "batch.size": 1 << 20,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 512 << 10,
        "delivery.timeout.ms": int(RIDE_OUT_S * 1000),
        **_GIVEN.get(bootstrap, {}),
    }


def transaction_options(bootstrap: str, transactional_id: str) -> dict[str, Any]:
    """Options of a producer of transactions under one identifier."""
    return producer_options(bootstrap) | {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        # Records gather anyway until their partitions are in the transaction; and the coordinator
        # refuses the next one while it ends the last, a millisecond or two: ask again soon. Of the
        # settings tried, both together gave the shortest small commits.
        "linger.ms": 0,
        "retry.backoff.ms": 1,
        # Neither may exceed the transaction's own time.
        "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "socket.timeout.ms": TRANSACTION_TIMEOUT_MS,
        **_GIVEN.get(bootstrap, {}),
    }


def consumer_options(
    bootstrap: str, *, fetch_wait_ms: int, committed: bool = True
) -> dict[str, Any]:
    """Options of a consumer that is told its positions and keeps none in Kafka.

    Parameters
    ----------
    bootstrap : str
        Brokers.
    fetch_wait_ms : int
        How long the broker may hold a fetch that finds nothing.
    committed : bool
        Whether records of open and aborted transactions are hidden.
    """
    return client_options(bootstrap) | {
        # Required by the client, never joined: partitions are assigned, positions kept elsewhere.
        "group.id": "tapeflow",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "check.crcs": True,
        "fetch.wait.max.ms": fetch_wait_ms,
        "fetch.min.bytes": 1,
        "fetch.error.backoff.ms": 20,
        # The default rests for a second whenever the queue is full.
        "fetch.queue.backoff.ms": 1,
        "max.partition.fetch.bytes": 8 << 20,
        "fetch.max.bytes": MAX_RECORD_BYTES,
        # Of a whole answer, and so more than `fetch.max.bytes`; it bounds what zstd unpacks too.
        "receive.message.max.bytes": _UNPACKED_MAX_BYTES,
        "queued.min.messages": 100_000,
        "queued.max.messages.kbytes": 16 << 10,
        **_GIVEN.get(bootstrap, {}),
    }


def log_error(error: KafkaError | KafkaException, doing: str) -> LogError:
    """What Kafka said, as the log's error of that kind.

    Parameters
    ----------
    error : KafkaError or KafkaException
        What the client reported.
    doing : str
        What was being done, and where: the beginning of the message.
    """
    if isinstance(error, KafkaException):
        error = error.args[0]
    code, text = error.code(), f"{doing}: Kafka says {error.name()}, {error.str()}"
    if code in _UNKNOWN:
        return UnknownTopicError(f"{text}; `tapeflow topics` lists what there is")
    if code in _FENCED:
        return FencedError(f"{text}; a newer copy of the writer is at work: end this one")
    if code in _TRUNCATED:
        return TruncatedError(
            f"{text}; retention cut these records, or the brokers lost them: `tapeflow topics repair` "
            "says what is gone"
        )
    if code in _CORRUPT:
        return CorruptLogError(f"{text}; restore the partition from a replica, or trim up to it")
    return LogError(text)
