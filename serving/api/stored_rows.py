"""ClickHouse behind the routes: where it does not answer, the client is told so."""

from typing import Any

import pyarrow as pa

from serving.api.problems import ApiError
from serving.latest.history import History, HistoryError


class StoredRows(History):
    """Landed rows, with the API's error where the store is away."""

    async def ask(self, query: str, **parameters: Any) -> pa.Table:
        """The answer to a query of ``sql/api``; `ApiError` 503 where the store does not answer."""
        try:
            return await super().ask(query, **parameters)
        except HistoryError as error:
            raise ApiError(
                503,
                "store-unavailable",
                "ClickHouse does not answer; newest values and orders of today are served without it",
                headers={"Retry-After": "5"},
            ) from error
