"""How long an analyst waits: views and named queries by symbol and day, over 50 M trades in the embedded store."""

import datetime as dt
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from clickhouse_connect.driver.client import Client

from bench.own_store import own_store
from bench.report import Result
from connectors.clickhouse import connect, create_tables, create_views
from serving.queries import named_query

_SYMBOLS = 500
_DAYS = 10
_FIRST = dt.date(2024, 3, 4)
_ROUNDS = 40
# Sessions of 6.5 hours; each day's rows are one insert, spread evenly over symbols and time.
_FILL = """
INSERT INTO trades (symbol, venue, ts_event, ts_recv, price, size, side, updates_high_low, updates_last,
    updates_volume, action, _partition, _offset, _row, _appended)
SELECT 'S' || toString(cityHash64(number) % {symbols:UInt64}), 'N', ts, ts,
    100 + (cityHash64(number, 1) % 1000) / 100, 1 + cityHash64(number, 2) % 500,
    if(cityHash64(number, 3) % 2 = 0, 'buy', 'sell'), true, true, true, 'new', 0, number, 0, ts
FROM
(
    SELECT number, addNanoseconds(toDateTime64({opening:String}, 9, 'UTC'), number * intDiv(23400000000000, {rows:UInt64})) AS ts
    FROM numbers({rows:UInt64})
)
"""
_QUOTES = """
INSERT INTO quotes (symbol, venue, ts_event, ts_recv, bid, bid_size, ask, ask_size, _partition, _offset, _row, _appended)
SELECT symbol, venue, ts_event, ts_recv, price - 0.01, size, price + 0.01, size, 0, _offset, 0, _appended
FROM trades WHERE toDate(ts_event) = {day:Date}
"""


def run(quick: bool) -> list[Result]:
    rows = 1_000_000 if quick else 50_000_000
    with (
        tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as folder,
        own_store(Path(folder)) as store,
        connect(store) as client,
    ):
        create_tables(client)
        create_views(client)
        fill(client, rows)
        client.command(_QUOTES, parameters={"day": _FIRST})
        client.command("OPTIMIZE TABLE quotes FINAL")
        return [
            _timed(name, client, ask, rows)
            for name, ask in (
                ("ohlcv(300)", _ohlcv),
                ("trades_quotes, all of 10,000 rows", _trades_quotes),
                ("trades_quotes, effective spread", _effective_spread),
                ("query ohlcv_from_ticks", _query("ohlcv_from_ticks")),
                ("query volume_profile", _query("volume_profile")),
                ("query vwap_slippage", _query("vwap_slippage")),
            )
        ]


def fill(client: Client, rows: int) -> list[dt.date]:
    """Trades of all symbols and days; the days."""
    days = [_FIRST + dt.timedelta(day) for day in range(_DAYS)]
    for day in days:
        client.command(
            _FILL,
            parameters={"symbols": _SYMBOLS, "opening": f"{day} 14:30:00", "rows": rows // _DAYS},
        )
    # As the store does by itself with a day that nothing was inserted into for an hour.
    client.command("OPTIMIZE TABLE trades FINAL")
    return days


def _ohlcv(client: Client, turn: int) -> None:
    start, end = _day(turn % _DAYS)
    client.query_arrow(
        "SELECT * FROM ohlcv(seconds = 300) WHERE symbol = {symbol:String} "
        "AND ts_start >= {start:DateTime64(9, 'UTC')} AND ts_start < {end:DateTime64(9, 'UTC')}",
        parameters={"symbol": _symbol(turn), "start": start, "end": end},
    )


def _trades_quotes(client: Client, turn: int) -> None:
    start, end = _day(0)
    client.query_arrow(
        f"SELECT * FROM trades_quotes(symbol = '{_symbol(turn)}', start = '{start}', end = '{end}')"
    )


def _effective_spread(client: Client, turn: int) -> None:
    start, end = _day(0)
    client.query_arrow(
        "SELECT venue, avg(2 * abs(price - (bid + ask) / 2)) FROM "
        f"trades_quotes(symbol = '{_symbol(turn)}', start = '{start}', end = '{end}') GROUP BY venue"
    )


def _query(name: str) -> Callable[[Client, int], None]:
    query = named_query(name)

    def ask(client: Client, turn: int) -> None:
        start, end = _day(turn % _DAYS)
        values = query.values({"symbol": _symbol(turn), "start": start, "end": end})
        client.query_arrow(query.text, parameters=values)

    return ask


def _symbol(turn: int) -> str:
    return f"S{turn * 37 % _SYMBOLS}"


def _day(number: int) -> tuple[str, str]:
    day = _FIRST + dt.timedelta(number)
    return f"{day} 00:00:00", f"{day + dt.timedelta(1)} 00:00:00"


def _timed(name: str, client: Client, ask: Callable[[Client, int], None], rows: int) -> Result:
    taken = []
    ask(client, 0)
    for turn in range(1, _ROUNDS + 1):
        begun = perf_counter()
        ask(client, turn)
        taken.append(1e3 * (perf_counter() - begun))
    return Result(
        name=f"{name}, by symbol and day, p50",
        value=statistics.median(taken),
        unit="ms",
        wanted="< 20",
        note=f"{rows:,} trades of {_SYMBOLS} symbols and {_DAYS} days; p95 {sorted(taken)[-3]:.0f} ms",
    )
