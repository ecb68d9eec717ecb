"""Every log implementation, as one fixture."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.log import Log, open_log


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
