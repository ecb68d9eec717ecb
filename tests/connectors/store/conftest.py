"""One store for the tests of a module, with no tables of an earlier test."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from connectors.chdb_address import Address, running_store, store_path
from connectors.clickhouse import (
    connect,
)
from connectors.store_key import PROGRAMS, program_key
from tests.stores import store_process


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One store for the whole module: tables are dropped after each test."""
    path = tmp_path_factory.mktemp("clickhouse") / "store"
    with store_process(path):
        yield f"chdb:///{path}"


@pytest.fixture(autouse=True)
def no_tables_are_left(store_url: str) -> Iterator[None]:
    yield
    with connect(store_url) as client:
        for (name,) in client.query("SHOW TABLES").result_rows:
            client.command(f"DROP TABLE {name} SYNC")


@dataclass(frozen=True, slots=True)
class OwnAddress(Address):
    """The address as the platform's own programs use it."""

    key: str

    @property
    def url(self) -> str:
        return f"http://{PROGRAMS}:{self.key}@{self.host}:{self.port}"


@pytest.fixture
def address(store_url: str) -> OwnAddress:
    path = store_path(store_url)
    address, key = running_store(path), program_key(path)
    assert address is not None
    assert key is not None
    return OwnAddress(address.host, address.port, address.pid, key)
