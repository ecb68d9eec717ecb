"""A log with receipts: what is fed, the keys that seal it, and how its owner writes a topic anew."""

from collections.abc import Callable

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.control import FEEDS_TOPIC, RECEIPTS_TOPIC, control_record
from connectors.log import Log, NewRecord, Record, TopicConfig
from connectors.receipt_chain import seal, sealable
from connectors.receipt_keys import public_hex
from connectors.records import rows_record
from connectors.scan import scan_records
from schemas.market import QUOTES, TRADES
from tests.conformity.workload import topic_rows

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
TRUSTED = [public_hex(KEY.public_key())]
RECORDS = 6


def feed_and_seal(log: Log) -> None:
    """Trades in two partitions, quotes, an inbox and a control topic, sealed in two links."""
    log.create_topic(TopicConfig(name=TRADES.name, partitions=2))
    for name in (QUOTES.name, TRADES.inbox_name, FEEDS_TOPIC):
        log.create_topic(TopicConfig(name=name, partitions=1))
    feed(log, seed=1)
    assert seal(log, KEY) is not None
    feed(log, seed=2)
    assert seal(log, KEY) is not None


def clear(log: Log) -> None:
    # Several tests share one broker.
    for name in set(sealable(log)) | ({RECEIPTS_TOPIC} & set(log.topics())):
        log.delete_topic(name)


def feed(log: Log, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trades = topic_rows(TRADES, rng, 600, 0)
    quotes = topic_rows(QUOTES, rng, 300, 0)
    cuts = range(0, 600, 600 // RECORDS)
    log.append([rows_record(TRADES, at // 100 % 2, trades.slice(at, 100)) for at in cuts])
    log.append([rows_record(QUOTES, 0, quotes)])
    log.append([NewRecord(TRADES.inbox_name, 0, b'{"symbol": "AIG"}', key=b"AIG")])
    log.append([control_record(FEEDS_TOPIC, 0, {"run": seed})])


def rewrite(log: Log, name: str, change: Callable[[int, Record], NewRecord | None]) -> None:
    """Write a topic anew, as whoever owns the log can, each record as ``change`` gives it."""
    config = log.topics()[name]
    fresh = []
    for partition in range(config.partitions):
        for at, record in enumerate(scan_records(log, name, partition)):
            changed = change(at, record)
            if changed is not None:
                fresh.append(changed)
    log.delete_topic(name)
    log.create_topic(config)
    for record in fresh:
        log.append([record])


def as_it_is(record: Record) -> NewRecord:
    return NewRecord(
        record.topic, record.partition, record.value, key=record.key, headers=record.headers
    )
