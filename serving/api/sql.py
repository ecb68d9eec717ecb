"""`POST /v1/sql`: one SELECT over the tables that one may read, as JSON, CSV, Arrow or Parquet.

What may be asked, says `connectors.sql_guard`; docs/sql.md tells it to people.
"""

import asyncio
import re
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from connectors.chdb_engine import StoreError
from connectors.clickhouse_statement import StatementError
from connectors.sql_guard import Checked, check_statement
from connectors.sql_guard_tables import ReadScope
from connectors.sql_guard_text import STATEMENT_CHARS_MAX, GuardError
from connectors.store_http import Question, StoreAnswer, StoreHttp
from connectors.store_quotas import Limits
from schemas.registry import TOPICS
from serving.api.audit import Result, entry_of
from serving.api.problems import ApiError
from serving.api.scopes import Scope
from serving.api.security import Principal, may_read_topic, require
from serving.api.state import ApiState, state_of
from serving.api.tables import ARROW_TYPE

router = APIRouter(prefix="/v1", tags=["queries"])

# An answer is held here until it is whole, so that it is either that or an error.
_LIMITS = Limits(result_bytes=64 << 20)
_AT_ONCE = 8
_SUBJECT_CHARS = 2_000
_POSITION = re.compile(r"position (\d+)")
_TOO_MUCH = frozenset({158, 159, 160, 241, 307, 396})
_TOO_OFTEN = frozenset({201, 202})
_RETRY_S = "5"

_logger = structlog.get_logger("api")


class SqlFormat(StrEnum):
    """What an answer is written in."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


_TYPES = {
    SqlFormat.JSON: "application/json",
    SqlFormat.CSV: "text/csv",
    SqlFormat.ARROW: ARROW_TYPE,
    SqlFormat.PARQUET: "application/vnd.apache.parquet",
}
_CLICKHOUSE = {
    SqlFormat.JSON: "JSON",
    SqlFormat.CSV: "CSVWithNames",
    SqlFormat.ARROW: "ArrowStream",
    SqlFormat.PARQUET: "Parquet",
}
# Exact decimals stay exact in a JSON number's place, and text columns are text for every reader.
_SHAPE = {
    SqlFormat.JSON: {"output_format_json_quote_decimals": "1"},
    SqlFormat.CSV: {},
    SqlFormat.ARROW: {"output_format_arrow_string_as_string": "1"},
    SqlFormat.PARQUET: {"output_format_parquet_string_as_string": "1"},
}

Scalar = str | int | float | bool | None
Analyst = Annotated[Principal, Depends(require(Scope.SQL_RUN))]
InFormat = Annotated[
    SqlFormat | None,
    Query(alias="format", description="Of the answer; without it, the header Accept says"),
]
Accept = Annotated[str, Header(include_in_schema=False)]


class SqlRequest(BaseModel):
    """A statement."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sql": "SELECT symbol, count() AS trades FROM trades WHERE symbol = {symbol:String} GROUP BY symbol",
                    "parameters": {"symbol": "AAPL"},
                }
            ]
        },
    )

    sql: str = Field(
        min_length=1,
        max_length=STATEMENT_CHARS_MAX,
        description="One SELECT of ClickHouse, or EXPLAIN of one; without FORMAT and SETTINGS",
    )
    parameters: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")], Scalar | list[Scalar]
    ] = Field(default={}, max_length=100, description="Values of its `{name:Type}`")
    rows_max: int | None = Field(
        default=None, ge=1, le=_LIMITS.result_rows, description="Fail beyond so many rows"
    )
    seconds_max: int | None = Field(
        default=None, ge=1, le=_LIMITS.seconds, description="Fail after so many seconds"
    )


class SqlStore:
    """Asks the store for the routes.

    Parameters
    ----------
    url : str
        The store.
    """

    name = "sql"

    def __init__(self, url: str) -> None:
        self._http = StoreHttp(url)
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def start(self) -> None:
        """Nothing is asked before a request does."""

    async def stop(self) -> None:
        """Let the connections go."""
        self._http.close()

    async def ask(self, question: Question) -> StoreAnswer:
        """Ask in a thread; raises as `StoreHttp.ask` does."""
        async with self._free:
            return await asyncio.to_thread(self._http.ask, question)


def _store(state: ApiState) -> SqlStore:
    return SqlStore(state.settings.store)


PARTS = (_store,)


@router.post(
    "/sql",
    summary="Run a SELECT",
    response_class=Response,
    responses={
        200: {
            "description": "The rows; JSON as ClickHouse's format JSON: `meta`, `data`, `rows`, `statistics`",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["meta", "data", "rows"],
                        "properties": {
                            "meta": {"type": "array", "items": {"type": "object"}},
                            "data": {"type": "array", "items": {"type": "object"}},
                            "rows": {"type": "integer"},
                        },
                    }
                },
                **{
                    kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in list(_TYPES.values())[1:]
                },
            },
        },
        406: {"description": "None of the formats that the header Accept names"},
    },
)
async def run_sql(
    request: Request,
    asked: SqlRequest,
    principal: Analyst,
    form: InFormat = None,
    accept: Accept = "*/*",
) -> Response:
    """Run one SELECT over what the user may read; it is in the audit log."""
    chosen = form or _accepted(accept)
    state = state_of(request)

    def note(result: Result, reason: str | None = None) -> None:
        subject = asked.sql[:_SUBJECT_CHARS]
        entry = entry_of(request, principal.user, "sql", subject, result, reason)
        state.audit.note(entry)

    scope = readable(principal)
    try:
        checked = _check(asked.sql, scope)
        answer = await state.part(SqlStore).ask(_question(asked, checked, principal, scope, chosen))
    except GuardError as error:
        note(Result.REFUSED, error.reason)
        raise _of_guard(error, asked.sql) from error
    except StatementError as error:
        note(Result.FAILED, f"ClickHouse {error.code}")
        raise _of_store(error) from error
    except StoreError as error:
        note(Result.FAILED, "the store does not answer")
        _logger.warning("store unavailable", error=str(error))
        raise ApiError(
            503,
            "store-unavailable",
            "ClickHouse does not answer; newest values are served without it",
            headers={"Retry-After": _RETRY_S},
        ) from error
    note(Result.DONE)
    return Response(answer.body, media_type=_TYPES[chosen], headers=_headers(asked, answer))


def readable(principal: Principal) -> ReadScope:
    """The topics whose tables somebody may query.

    A table has the rows of all accounts: who sees some accounts only gets theirs from the routes of orders and
    positions, and not in SQL.
    """
    return ReadScope(
        frozenset(
            name
            for name, topic in TOPICS.items()
            if may_read_topic(principal, name)
            and (principal.sees is None or all(field.name != "account" for field in topic.fields))
        )
    )


def _check(statement: str, scope: ReadScope) -> Checked:
    checked = check_statement(statement, scope)
    if checked.format is not None:
        raise GuardError("leave out FORMAT: the parameter `format` or the header Accept says it")
    return checked


def _question(
    asked: SqlRequest,
    checked: Checked,
    principal: Principal,
    scope: ReadScope,
    form: SqlFormat,
) -> Question:
    return Question(
        statement=checked.text,
        parameters=asked.parameters,
        format=_CLICKHOUSE[form],
        settings=_SHAPE[form],
        user=principal.user,
        topics=scope.topics,
        limits=_limits(asked),
    )


def _limits(asked: SqlRequest) -> Limits:
    return replace(
        _LIMITS,
        result_rows=asked.rows_max or _LIMITS.result_rows,
        seconds=asked.seconds_max or _LIMITS.seconds,
    )


def _accepted(accept: str) -> SqlFormat:
    for one in accept.split(","):
        kind = one.partition(";")[0].strip().lower()
        if kind in {"*/*", "application/*", ""}:
            return SqlFormat.JSON
        for form, name in _TYPES.items():
            if kind == name:
                return form
    raise ApiError(406, "format", f"the answer can be {', '.join(_TYPES.values())}")


def _headers(asked: SqlRequest, answer: StoreAnswer) -> dict[str, str]:
    limits = _limits(asked)
    return {
        "X-Limit-Rows": str(limits.result_rows),
        "X-Limit-Bytes": str(limits.result_bytes),
        "X-Limit-Seconds": str(limits.seconds),
        "X-Limit-Memory-Bytes": str(limits.memory_bytes),
        "X-Limit-Read-Rows": str(limits.read_rows),
        "X-Result-Rows": str(answer.summary.get("result_rows", 0)),
        "X-Read-Rows": str(answer.summary.get("read_rows", 0)),
    }


def _of_guard(error: GuardError, statement: str) -> ApiError:
    status, kind = (400, "sql-syntax") if error.code == 62 else (403, "sql-refused")
    return ApiError(status, kind, error.reason, **_place(error.position, statement))


def _of_store(error: StatementError) -> ApiError:
    text = str(error).split("DB::Exception: ", 1)[-1]
    extra: dict[str, Any] = {"code": error.code}
    if error.code in _TOO_OFTEN:
        return ApiError(429, "sql-quota", text, headers={"Retry-After": _RETRY_S}, **extra)
    if error.code in _TOO_MUCH:
        return ApiError(422, "sql-limit", text, **extra)
    found = _POSITION.search(text)
    if found:
        extra["position"] = int(found.group(1)) - 1
    return ApiError(400, "sql-failed", text, **extra)


def _place(position: int | None, statement: str) -> dict[str, Any]:
    """Where in the statement, from 0 on; line and column from 1 on."""
    if position is None:
        return {}
    before = statement[:position]
    return {
        "position": position,
        "line": before.count("\n") + 1,
        "column": position - (before.rfind("\n") + 1) + 1,
    }
