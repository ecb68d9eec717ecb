"""Asks a schema registry (Confluent's REST protocol: Schema Registry, Karapace, Apicurio) for a schema.

Its answers go into the log before anything is decoded with them; see `flows.engines.lookups`.
"""

import threading
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import pyarrow as pa
import urllib3

from connectors.log import LogError
from connectors.patience import GivenUpError, Patience
from schemas.foreign_schemas import FOREIGN_SCHEMAS

_ACCEPT = "application/vnd.schemaregistry.v1+json"
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
# Longer than a registry's restart. The inboxes wait meanwhile: a dead letter would be the registry's fault.
_PATIENCE_S = 60.0
# A schema of a flat record has a few kilobytes.
_TEXT_MAX = 256 << 10
_OK, _NOT_FOUND, _BUSY, _FAILED = 200, 404, 429, 500
# Of a registry that does not have what was asked for. Any other 404 is of a wrong path or a proxy: were it taken for an
# answer, every record would be a dead letter for a mistake in a setting.
_NOT_THERE = range(40401, 40404)


class RegistryError(LogError):
    """The registry gives no answer that can be used; the message says which, and what to do."""


class _NotNowError(Exception):
    """No answer for now."""


class SchemaRegistry:
    """A registry, asked for the schemas that foreign records name.

    Parameters
    ----------
    url : str
        ``http[s]://[USER:PASSWORD@]HOST:PORT[/PATH]``; the password is in no message.
    patience_s : float
        For how long it may not answer before that is an error.
    stop : threading.Event or None
        Once it is set, no answer is waited for any more.
    """

    def __init__(
        self,
        url: str,
        *,
        patience_s: float = _PATIENCE_S,
        stop: threading.Event | None = None,
    ) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port else ""
        self._base = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
        self._headers = {"Accept": _ACCEPT}
        if parts.username is not None:
            who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            # By hand: urllib3 takes Latin-1 only.
            self._headers["Authorization"] = f"Basic {b64encode(who.encode()).decode()}"
        self._patience = Patience("schema_registry", give_up_s=patience_s, stop=stop)
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    def __call__(self, schema_ids: Sequence[str]) -> pa.RecordBatch:
        """Rows of ``foreign_schemas``, one an identifier; one that cannot be used has its reason.

        Raises
        ------
        RegistryError
            Where the registry does not answer, also where it is told to stop meanwhile, or not as one does.
        """
        rows = [self._row(schema_id) for schema_id in schema_ids]
        return FOREIGN_SCHEMAS.batch(
            {
                "schema_id": list(schema_ids),
                "ts_event": pa.array([time.time_ns()] * len(rows), pa.int64()),
                "schema_type": pa.array([row[0] for row in rows], pa.string()),
                "schema_text": [row[1] for row in rows],
                "reason": [row[2] for row in rows],
            }
        )

    def _row(self, schema_id: str) -> tuple[str | None, str | None, str | None]:
        """Kind, text and reason."""
        where = f"{self._base}/schemas/ids/{schema_id}"
        try:
            status, body = self._patience.run(
                lambda: self._get(where), (_NotNowError,), lambda _: "no_answer"
            )
        except GivenUpError as error:
            raise RegistryError(
                f"the schema registry does not answer: {error.__cause__}; foreign Avro records wait in "
                "their inboxes for it. Start it, or mend the setting schema_registry (empty, such records "
                "become dead letters)"
            ) from error
        value = self._value(where, status, body)
        if status == _NOT_FOUND:
            said = str(value.get("message", "not found"))[:200]
            return None, None, f"the registry has no schema {schema_id}: {said}"
        return _usable(schema_id, value)

    def _get(self, where: str) -> tuple[int, bytes]:
        try:
            answer = self._pool.request("GET", where, headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise _NotNowError(f"{where}: {type(error).__name__}") from error
        if answer.status == _BUSY or answer.status >= _FAILED:
            raise _NotNowError(f"{where}: status {answer.status}")
        return answer.status, answer.data

    def _value(self, where: str, status: int, body: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict) or not (
            (status == _OK and "schema" in value)
            or (status == _NOT_FOUND and value.get("error_code") in _NOT_THERE)
        ):
            raise RegistryError(
                f"{where} answers with status {status} and not as a schema registry; mend the setting "
                "schema_registry (address, user and password; empty, foreign Avro records become dead "
                "letters)"
            )
        return value


def _usable(schema_id: str, value: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    kind, text = str(value.get("schemaType") or "AVRO"), value.get("schema")
    reason = None
    if kind != "AVRO":
        reason = f"schema {schema_id} is {kind}, and AVRO was needed"
    elif value.get("references"):
        reason = f"schema {schema_id} refers to other schemas; register it whole"
    elif not isinstance(text, str) or len(text) > _TEXT_MAX:
        reason = f"schema {schema_id} is no text of at most {_TEXT_MAX} characters"
    return kind, None if reason else str(text), reason
