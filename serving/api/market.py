"""Market data and what is derived from it: newest values from memory, history from ClickHouse."""

import asyncio
import base64
import binascii
import struct
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from schemas.bars import BARS
from schemas.book import BOOK_TOP, LEVELS
from schemas.breadth import BREADTH, INDEX_LEVELS
from schemas.indicators import INDICATORS
from schemas.market import QUOTES, TRADES
from schemas.models import model
from schemas.topic import Topic
from serving.api.problems import ApiError
from serving.api.query_times import END_NS, START_NS, Time
from serving.api.scopes import Scope
from serving.api.security import Principal, require
from serving.api.state import state_of
from serving.api.tables import ARROW_TYPE, Format, lines_answer, table_answer
from serving.hub.hub import Hub
from serving.hub.lookup import Lookup
from serving.latest.history import History, Key

router = APIRouter(prefix="/v1", tags=["market"])

Analyst = Annotated[Principal, Depends(require(Scope.MARKET_READ))]
SYMBOLS_MAX = 1_000
_ROWS_MAX = 10_000
_KEY = struct.Struct(">qiqi")

Symbols = Annotated[
    str,
    Query(
        min_length=1,
        max_length=20_000,
        description="A symbol, or several with commas between them; history is of one",
        examples=["AAPL,MSFT"],
    ),
]
From = Annotated[
    Time | None,
    Query(
        alias="from", description="History from then on; without `from` and `to`, the newest rows"
    ),
]
To = Annotated[Time | None, Query(alias="to", description="History before then")]
Limit = Annotated[int, Query(ge=1, le=_ROWS_MAX)]
Cursor = Annotated[str | None, Query(description="Of the page before", max_length=64)]
Word = Annotated[str | None, Query(min_length=1, max_length=100)]
InFormat = Annotated[Format, Query(alias="format")]


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


@router.get("/quotes", responses=_rows_model(QUOTES))
async def quotes(
    request: Request,
    principal: Analyst,
    symbol: Symbols,
    venue: Word = None,
    start: From = None,
    end: To = None,
    cursor: Cursor = None,
    limit: Limit = 1000,
    form: InFormat = Format.JSON,
) -> Response:
    """Quotes: of each venue the newest, or those of a time."""
    del principal
    asked = _Asked(QUOTES, symbol, {"venue": venue}, start, end, cursor, limit, form)
    return await asked.answer(request)


@router.get("/trades", responses=_rows_model(TRADES))
async def trades(
    request: Request,
    principal: Analyst,
    symbol: Symbols,
    start: From = None,
    end: To = None,
    cursor: Cursor = None,
    limit: Limit = 1000,
    form: InFormat = Format.JSON,
) -> Response:
    """Trades: of each symbol the newest, or those of a time."""
    del principal
    return await _Asked(TRADES, symbol, {}, start, end, cursor, limit, form).answer(request)


@router.get("/bars", responses=_rows_model(BARS))
async def bars(
    request: Request,
    principal: Analyst,
    symbol: Symbols,
    interval: Word = None,
    start: From = None,
    end: To = None,
    cursor: Cursor = None,
    limit: Limit = 1000,
    form: InFormat = Format.JSON,
) -> Response:
    """Bars: of each interval the newest, or those of a time."""
    del principal
    asked = _Asked(BARS, symbol, {"interval": interval}, start, end, cursor, limit, form)
    return await asked.answer(request)


@router.get("/indicators", responses=_rows_model(INDICATORS))
async def indicators(
    request: Request,
    principal: Analyst,
    symbol: Symbols,
    interval: Word = None,
    name: Word = None,
    start: From = None,
    end: To = None,
    cursor: Cursor = None,
    limit: Limit = 1000,
    form: InFormat = Format.JSON,
) -> Response:
    """Indicators: of each interval and name the newest, or those of a time."""
    del principal
    narrowed = {"interval": interval, "name": name}
    return await _Asked(INDICATORS, symbol, narrowed, start, end, cursor, limit, form).answer(
        request
    )


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
async def overview(request: Request, principal: Analyst, interval: Word = None) -> Response:
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


class _Asked:
    """A question for rows of a topic: the newest, or a page of history."""

    def __init__(
        self,
        topic: Topic,
        symbols: str,
        narrowed: dict[str, str | None],
        start: int | None,
        end: int | None,
        cursor: str | None,
        limit: int,
        form: Format,
    ) -> None:
        self._topic = topic
        self._symbols = [one for one in (part.strip() for part in symbols.split(",")) if one]
        self._narrowed = {name: value for name, value in narrowed.items() if value is not None}
        self._is_history = (start, end, cursor) != (None, None, None)
        self._start = START_NS if start is None else start
        self._end = END_NS if end is None else end
        self._cursor = cursor
        self._limit = limit
        self._form = form

    async def answer(self, request: Request) -> Response:
        """The rows."""
        if not 0 < len(self._symbols) <= SYMBOLS_MAX:
            raise ApiError(422, "symbols", f"1 to {SYMBOLS_MAX} symbols are taken")
        if self._is_history:
            return await self._history(request)
        topic = self._topic
        lookup = state_of(request).part(Lookup)
        entries = await lookup.newest(topic, self._symbols)
        for name, value in self._narrowed.items():
            at = lookup.place(topic, name)
            entries = [entry for entry in entries if entry.group[at] == value]
        entries = entries[: self._limit]
        if self._form is Format.JSON:
            return lines_answer([entry.line for entry in entries])
        view = state_of(request).part(Hub).view(topic.name)
        return await asyncio.to_thread(table_answer, topic, view.batch(entries), self._form)

    async def _history(self, request: Request) -> Response:
        if len(self._symbols) != 1:
            raise ApiError(422, "symbols", "history is of one symbol: ask for each of them")
        rows, behind = (
            await state_of(request)
            .part(History)
            .between(
                self._topic,
                self._symbols[0],
                narrowed=self._narrowed,
                start_ns=self._start,
                end_ns=self._end,
                behind=None if self._cursor is None else _key_of(self._cursor),
                limit=self._limit,
            )
        )
        cursor = None if behind is None else _cursor_of(behind)
        return await asyncio.to_thread(table_answer, self._topic, rows, self._form, cursor)


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


def _cursor_of(key: Key) -> str:
    return base64.urlsafe_b64encode(_KEY.pack(*key)).decode()


def _key_of(cursor: str) -> Key:
    try:
        time, partition, offset, row = _KEY.unpack(base64.urlsafe_b64decode(cursor.encode()))
    except (struct.error, binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise ApiError(422, "cursor", "a cursor is what the page before gave") from error
    return (time, partition, offset, row)
