"""Every log implementation, as one fixture; a folder for a lake."""

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


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake's folder, not made yet."""
    return tmp_path / "lake"
