"""Every log implementation, as one fixture; a topic of it, logs with receipts, a folder for a lake, a client of a store."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import connect
from connectors.log import Log, TopicConfig, open_log
from tests.connectors.sealed_log import clear, feed_and_seal


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a log; other tests may use the same broker, so topic names must be of the test's own."""
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka_broker')}"
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.fixture
def log(log_url: str) -> Iterator[Log]:
    """An open log."""
    with open_log(log_url) as opened:
        yield opened


@pytest.fixture
def topic(log: Log) -> str:
    """A topic of two partitions with a name that no other test has."""
    name = f"test-{uuid4().hex}"
    log.create_topic(TopicConfig(name=name, partitions=2))
    return name


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake's folder, not made yet."""
    return tmp_path / "lake"


@pytest.fixture
def client(store_url: str) -> Iterator[Client]:
    """A client of the test's own store."""
    with connect(store_url) as client:
        yield client


@pytest.fixture
def fed(log: Log) -> Iterator[Log]:
    """Either log, fed and sealed."""
    clear(log)
    feed_and_seal(log)
    yield log
    clear(log)


@pytest.fixture
def sealed(sqlite_log: Log) -> Log:
    """A SQLite log, fed and sealed."""
    feed_and_seal(sqlite_log)
    return sqlite_log
