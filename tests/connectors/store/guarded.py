"""A store with something to hide, and requests of those who look for it."""

import base64
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from connectors.chdb_address import Address, running_store
from connectors.clickhouse import connect, create_tables, create_views
from connectors.store_key import PROGRAMS, program_key
from connectors.store_users import StoreRole, StoreUser, StoreUsers, hash_of_key
from tests.stores import store_process

HIDDEN = "hidden-7f3a9c"
"""What no answer may hold: it is in a private table, in a foreign one, in a file and in the environment."""
KEYS = {"quinn": "quinn-key", "carla": "carla-key", "lando": "lando-key", "ada": "ada-key"}
_ROLES = {
    "quinn": StoreRole.QUANT,
    "carla": StoreRole.COMPLIANCE,
    "lando": StoreRole.LANDER,
    "ada": StoreRole.ADMIN,
}


@dataclass(frozen=True)
class Reply:
    """An answer of the store."""

    status: int
    body: bytes
    code: int

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


@dataclass(frozen=True)
class GuardedStore:
    """A running store, and how to ask it."""

    address: Address
    path: Path
    file: Path

    def ask(
        self,
        statement: str | bytes | None = None,
        user: str | None = None,
        headers: dict[str, str] | None = None,
        method: str = "POST",
        **parameters: str,
    ) -> Reply:
        """A request in a user's name; without one, nobody says who asks."""
        if user is not None:
            key = program_key(self.path) if user == PROGRAMS else KEYS[user]
            token = base64.b64encode(f"{user}:{key}".encode()).decode()
            headers = {**(headers or {}), "Authorization": f"Basic {token}"}
        body = statement.encode() if isinstance(statement, str) else statement
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=60)
        try:
            connection.request(method, f"/?{urlencode(parameters)}", body, headers or {})
            answer = connection.getresponse()
            try:
                found = answer.read()
            except http.client.IncompleteRead as error:
                found = error.partial
            code = int(answer.getheader("X-ClickHouse-Exception-Code") or 0)
            return Reply(answer.status, found, code)
        finally:
            connection.close()


@contextmanager
def guarded_store(folder: Path) -> Iterator[GuardedStore]:
    """A store with all tables and views, users of every role, and `HIDDEN` where nobody may see it."""
    path, file = folder / "store", folder / "file.txt"
    file.write_text(f"{HIDDEN}\n")
    with store_process(path):
        with connect(f"chdb:///{path}") as client:
            create_tables(client)
            create_views(client)
            client.command(
                "INSERT INTO audit_log (actor, ts_event, sequence, action, result, previous_hash, hash) "
                f"VALUES ('{HIDDEN}', '2013-10-07 14:00:00', 1, 'x', 'done', '', '')"
            )
            client.command(f"CREATE TABLE foreign_one ENGINE = Memory AS SELECT '{HIDDEN}' AS s")
            client.command("CREATE VIEW foreign_view AS SELECT * FROM audit_log")
            client.command(
                "INSERT INTO trades (symbol, venue, ts_event, price, size, action) VALUES "
                "('IBM', 'N', '2013-10-07 14:00:00', 183.5, 100, 'new')"
            )
        users = StoreUsers(path)
        for name, role in _ROLES.items():
            users.put(StoreUser(name=name, role=role, secret=hash_of_key(KEYS[name])))
        address = running_store(path)
        assert address is not None
        yield GuardedStore(address, path, file)
