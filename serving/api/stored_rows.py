"""ClickHouse behind the routes: where it does not answer, the client is told so."""

from collections.abc import Callable
from typing import TypeVar

from clickhouse_connect.driver.client import Client

from serving.api.problems import ApiError
from serving.latest.history import History, HistoryError

T = TypeVar("T")


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
