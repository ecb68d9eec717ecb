"""Market data and what is derived from it: newest values from memory, history from ClickHouse."""

import asyncio
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.bars import BARS
from schemas.book import BOOK_TOP, LEVELS
from schemas.breadth import BREADTH, INDEX_LEVELS
from schemas.indicators import INDICATORS
from schemas.market import QUOTES, TRADES
from schemas.models import model
from schemas.topic import Topic
from serving.api.cursors import history_cursor, history_key
from serving.api.problems import ApiError
from serving.api.query_times import END_NS, START_NS, Time
from serving.api.scopes import Scope
from serving.api.security import Principal, require
from serving.api.state import ApiState, state_of
from serving.api.tables import ARROW_TYPE, Format, lines_answer, table_answer
from serving.hub.hub import Hub
from serving.hub.lookup import Lookup
from serving.latest.history import History, Key, Page
from serving.latest.parts import lines_of

router = APIRouter(prefix="/v1", tags=["market"])

Analyst = Annotated[Principal, Depends(require(Scope.MARKET_READ))]
SYMBOLS_MAX = 1_000
_ROWS_MAX = 10_000

Q = TypeVar("Q", bound="RowsQuery")


class RowsQuery(BaseModel):
    """Which rows: the newest, or with one of `from`, `to` and `cursor` a page of history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: str = Field(
        min_length=1,
        max_length=20_000,
        description="A symbol, or several with commas between them; history is of one",
        examples=["AAPL,MSFT"],
    )
    start: Time | None = Field(
        None, alias="from", description="Not before (RFC 3339, or ns since 1970)"
    )
    end: Time | None = Field(None, alias="to", description="Before (RFC 3339, or ns since 1970)")
    cursor: str | None = Field(None, max_length=64, description="Of the page before")
    limit: int = Field(1000, ge=1, le=_ROWS_MAX, description="Rows at most")
    form: Format = Field(Format.JSON, alias="format")

    @property
    def is_history(self) -> bool:
        """Whether a time was given."""
        return (self.start, self.end, self.cursor) != (None, None, None)


Word = Annotated[str | None, Field(min_length=1, max_length=100)]


class QuotesQuery(RowsQuery):
    """Also by venue."""

    venue: Word = None


class BarsQuery(RowsQuery):
    """Also by interval."""

    interval: Word = None


class IndicatorsQuery(BarsQuery):
    """Also by name."""

    name: Word = None


_NARROWING = ("venue", "interval", "name")


def query_parameters(kind: type[BaseModel]) -> dict[str, Any]:
    """What the document says of a query that a model reads."""
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    forms = {"type": "string", "enum": [form.value for form in Format], "default": "json"}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": name in schema["required"],
                "description": said.get("description", ""),
                "schema": forms if name == "format" else said,
            }
            for name, said in schema["properties"].items()
        ]
    }


def _rows_model(topic: Topic) -> dict[int | str, dict[str, Any]]:
    """What the document says of an answer with rows of a topic."""
    schema = model(topic).model_json_schema(ref_template="#/components/schemas/{model}")
    rows = {
        "type": "object",
        "required": ["rows", "cursor"],
        "properties": {
            "rows": {"type": "array", "items": schema},
            "cursor": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "Ask for the next page with it; null on the last one",
            },
        },
    }
    content = {
        "application/json": {"schema": rows},
        "text/csv": {"schema": {"type": "string"}},
        ARROW_TYPE: {"schema": {"type": "string", "format": "binary"}},
    }
    return {200: {"description": topic.meaning, "content": content}}


@router.get("/quotes", responses=_rows_model(QUOTES), openapi_extra=query_parameters(QuotesQuery))
async def quotes(request: Request, principal: Analyst) -> Response:
    """Quotes: of each venue the newest, or those of a time."""
    del principal
    return await _answer(request, QUOTES, _query(request, QuotesQuery))


@router.get("/trades", responses=_rows_model(TRADES), openapi_extra=query_parameters(RowsQuery))
async def trades(request: Request, principal: Analyst) -> Response:
    """Trades: of each symbol the newest, or those of a time."""
    del principal
    return await _answer(request, TRADES, _query(request, RowsQuery))


@router.get("/bars", responses=_rows_model(BARS), openapi_extra=query_parameters(BarsQuery))
async def bars(request: Request, principal: Analyst) -> Response:
    """Bars: of each interval the newest, or those of a time."""
    del principal
    return await _answer(request, BARS, _query(request, BarsQuery))


@router.get(
    "/indicators",
    responses=_rows_model(INDICATORS),
    openapi_extra=query_parameters(IndicatorsQuery),
)
async def indicators(request: Request, principal: Analyst) -> Response:
    """Indicators: of each interval and name the newest, or those of a time."""
    del principal
    return await _answer(request, INDICATORS, _query(request, IndicatorsQuery))


class BookLevel(BaseModel):
    """A price and what stands there."""

    price: float
    size: float | None


class VenueBook(BaseModel):
    """A venue's best levels, the best first."""

    venue: str
    ts_event: str
    state: str | None
    bids: list[BookLevel]
    asks: list[BookLevel]
    mid: float | None
    spread: float | None
    microprice: float | None
    imbalance: float | None


class Book(BaseModel):
    """A symbol's books."""

    symbol: str
    books: list[VenueBook]


@router.get("/book/{symbol}", responses={200: {"model": Book}})
async def book(
    request: Request,
    principal: Analyst,
    symbol: Annotated[str, Path(max_length=100)],
    depth: Annotated[int, Query(ge=1, le=LEVELS)] = LEVELS,
) -> Response:
    """The best levels of a symbol's book at each venue, as of its newest change."""
    del principal
    entries = await state_of(request).part(Lookup).newest(BOOK_TOP, [symbol])
    if not entries:
        raise ApiError(404, "no-book", "no book of this symbol is known")
    books = [_book(orjson.loads(entry.line), depth) for entry in entries]
    return Response(orjson.dumps({"symbol": symbol, "books": books}), media_type="application/json")


class Overview(BaseModel):
    """The market at a glance: newest rows of `index_levels` and `breadth`."""

    indices: list[model(INDEX_LEVELS)]  # type: ignore[valid-type]
    breadth: list[model(BREADTH)] = Field(  # type: ignore[valid-type]
        description="Advances, declines, new highs and lows, up volume, by universe and interval"
    )


@router.get("/market/overview", responses={200: {"model": Overview}})
async def overview(
    request: Request,
    principal: Analyst,
    interval: Annotated[str | None, Query(min_length=1, max_length=100)] = None,
) -> Response:
    """Levels of indices, and how many symbols of each universe rise and fall."""
    del principal
    hub = state_of(request).part(Hub)
    found = {
        name: [
            orjson.loads(entry.line)
            for entry in hub.view(topic.name).entries()
            if interval in (None, entry.group[1])
        ]
        for name, topic in (("indices", INDEX_LEVELS), ("breadth", BREADTH))
    }
    return Response(orjson.dumps(found), media_type="application/json")


def _query(request: Request, kind: type[Q]) -> Q:
    """The query's parameters: read by one model, which costs a tenth of FastAPI's reading of each by itself."""
    try:
        return kind.model_validate(dict(request.query_params))
    except ValidationError as error:
        faults = [{**one, "loc": ("query", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(faults) from error


async def _answer(request: Request, topic: Topic, query: RowsQuery) -> Response:
    symbols = [one for one in (part.strip() for part in query.symbol.split(",")) if one]
    if not 0 < len(symbols) <= SYMBOLS_MAX:
        raise ApiError(422, "symbols", f"1 to {SYMBOLS_MAX} symbols are taken")
    narrowed = {
        name: value for name in _NARROWING if (value := getattr(query, name, None)) is not None
    }
    state = state_of(request)
    if query.is_history:
        return await _history(state, topic, symbols, narrowed, query)
    lookup = state.part(Lookup)
    entries = await lookup.newest(topic, symbols)
    for name, value in narrowed.items():
        at = lookup.place(topic, name)
        entries = [entry for entry in entries if entry.group[at] == value]
    entries = entries[: query.limit]
    if query.form is Format.JSON:
        return lines_answer(lines_of(entries))
    view = state.part(Hub).view(topic.name)
    return await asyncio.to_thread(table_answer, view.batch(entries), query.form)


async def _history(
    state: ApiState, topic: Topic, symbols: list[str], narrowed: dict[str, str], query: RowsQuery
) -> Response:
    if len(symbols) != 1:
        raise ApiError(422, "symbols", "history is of one symbol: ask for each of them")
    (symbol,) = symbols
    page = Page(
        topic=topic,
        key=symbol,
        narrowed=narrowed,
        start_ns=START_NS if query.start is None else query.start,
        end_ns=END_NS if query.end is None else query.end,
        behind=None if query.cursor is None else history_key(query.cursor, topic.name, symbol),
        limit=query.limit,
    )
    history = state.part(History)

    def cursor(behind: Key | None) -> str | None:
        return None if behind is None else history_cursor(behind, topic.name, symbol)

    if query.form is Format.JSON:
        lines, behind = await history.lines_between(page)
        return lines_answer([lines], cursor(behind))
    rows, behind = await history.between(page)
    return await asyncio.to_thread(table_answer, rows, query.form, cursor(behind))


def _book(row: dict[str, Any], depth: int) -> dict[str, Any]:
    sides = {
        f"{side}s": [
            {"price": row[f"{side}_{level}"], "size": row[f"{side}_size_{level}"]}
            for level in range(1, depth + 1)
            if row[f"{side}_{level}"] is not None
        ]
        for side in ("bid", "ask")
    }
    names = ("venue", "ts_event", "state", "mid", "spread", "microprice", "imbalance")
    return {**{name: row[name] for name in names}, **sides}
