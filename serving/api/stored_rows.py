"""ClickHouse behind the routes: where it does not answer, the client is told so."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from connectors.log import LogError
from serving.api.problems import ApiError
from serving.api.state import ApiState
from serving.hub.lookup import Lookup
from serving.hub.subscription import Wanted
from serving.latest.groups import LATEST
from serving.latest.history import History, HistoryError

T = TypeVar("T")

# Keys for which a stream asks at once, as routes of newest values do.
_RECALLED_MAX = 1_000


class StoredRows(History):
    """Landed rows, with the API's error where the store is away."""

    async def run(self, read: Callable[[Client], T], nothing: T) -> T:
        """What is read from the store; `ApiError` 503 where it does not answer."""
        try:
            return await super().run(read, nothing)
        except HistoryError as error:
            raise ApiError(
                503,
                "store-unavailable",
                "ClickHouse does not answer; newest values and orders of today are served without it",
                headers={"Retry-After": "5"},
            ) from error


async def recall(state: ApiState, wanted: Wanted) -> None:
    """Have the newest rows of named keys at hand, with which a stream begins, also those that memory lacks.

    Where that cannot be, the stream begins with what memory has, or says itself what is wrong.
    """
    keys = wanted.shape.keys
    is_kept = wanted.topic.name in LATEST
    if wanted.snapshot and is_kept and keys is not None and len(keys) <= _RECALLED_MAX:
        with suppress(ApiError, DatabaseError, LogError):
            await state.part(Lookup).newest(wanted.topic, sorted(keys))
