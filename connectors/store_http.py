"""One question to a store, whole: a checked statement over ClickHouse's HTTP protocol, for the API's users.

Embedded, the store itself checks, restricts, limits and counts it for the user in whose name it is asked. A
ClickHouse server is sent the limits as settings, under ``readonly``; what its user may read is granted there.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import urllib3
from clickhouse_connect.driver.binding import format_bind_value

from connectors.chdb_address import Address, running_store, store_path
from connectors.chdb_engine import StoreError
from connectors.clickhouse_statement import StatementError
from connectors.store_key import ON_BEHALF, PROGRAMS, program_key
from connectors.store_quotas import Limits

_CONNECT_S = 5.0
# Beyond the statement's own time, so that the store's answer comes first.
_SLACK_S = 10.0
_POOL = 16


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """An answer.

    Parameters
    ----------
    body : bytes
        In the format that was asked for.
    summary : mapping of str to int
        What it took, as ClickHouse's ``X-ClickHouse-Summary`` says.
    """

    body: bytes
    summary: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A statement and who asks.

    Parameters
    ----------
    statement : str
        Checked by `connectors.sql_guard`.
    parameters : mapping of str to value
        Of its ``{name:Type}``.
    format : str
        Of ClickHouse.
    settings : mapping of str to str
        That shape the answer (`connectors.chdb_settings`).
    user : str
        Who asks.
    topics : frozenset of str
        That the user may read.
    limits : Limits
        Of the user.
    """

    statement: str
    parameters: Mapping[str, Any]
    format: str
    settings: Mapping[str, str]
    user: str
    topics: frozenset[str]
    limits: Limits


class StoreHttp:
    """A store at a URL (see `connectors.clickhouse.StoreLink`); several threads may ask at once.

    Parameters
    ----------
    url : str
        The store; an embedded one is reached where it runs, and never served here.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=_POOL, retries=False)
        self._lock = threading.Lock()
        self._address: Address | None = None

    def ask(self, question: Question) -> StoreAnswer:
        """Ask, and wait for the whole answer.

        Raises
        ------
        StatementError
            With ClickHouse's code, where it refuses.
        StoreError
            Where it does not answer.
        """
        embedded = self._url.startswith("chdb:")
        target, headers = self._embedded() if embedded else self._server()
        fields = {
            "query": question.statement,
            "default_format": question.format,
            "wait_end_of_query": "1",
            **question.settings,
            **{f"param_{name}": _told(value) for name, value in question.parameters.items()},
        }
        if embedded:
            headers[ON_BEHALF] = _on_behalf(question)
        else:
            fields |= question.limits.settings({})
        seconds = question.limits.seconds + _SLACK_S
        try:
            answer = self._pool.request(
                "POST",
                target,
                fields=fields,
                headers=headers,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=seconds),
            )
        except urllib3.exceptions.HTTPError as error:
            with self._lock:
                self._address = None
            raise StoreError(f"store {_without_password(self._url)}: it does not answer") from error
        if answer.status != 200 or "x-clickhouse-exception-code" in answer.headers:
            raise StatementError(answer.data.decode(errors="replace").strip())
        return StoreAnswer(answer.data, _summary(answer.headers.get("x-clickhouse-summary", "{}")))

    def close(self) -> None:
        """Let the connections go."""
        self._pool.clear()

    def _embedded(self) -> tuple[str, dict[str, str]]:
        path = store_path(self._url)
        with self._lock:
            if self._address is None:
                self._address = running_store(path)
            address = self._address
        key = program_key(path)
        if address is None or key is None:
            raise StoreError(f"store {path}: it is not running; start it with `tapeflow store`")
        headers = urllib3.make_headers(basic_auth=f"{PROGRAMS}:{key}")
        return f"{address.url}/", dict(headers)

    def _server(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self._url)
        scheme = "https" if parts.scheme == "clickhouses" else "http"
        headers = {
            "X-ClickHouse-User": unquote(parts.username or "default"),
            "X-ClickHouse-Key": unquote(parts.password or ""),
            "X-ClickHouse-Database": unquote(parts.path.strip("/")) or "default",
        }
        return f"{scheme}://{parts.hostname}:{parts.port or 8123}/", headers


def _on_behalf(question: Question) -> str:
    return orjson.dumps(
        {
            "user": question.user,
            "topics": sorted(question.topics),
            "limits": asdict(question.limits),
        }
    ).decode()


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(format_bind_value(value))


def _summary(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in orjson.loads(text).items() if str(value).isdigit()}


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.password is None else f"{parts.scheme}://{parts.hostname}:{parts.port}"
