"""A day of real ticks, landed, for the tests of named queries; and the same rows in DuckDB."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from connectors.clickhouse import connect, insert
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.lander import Lander
from connectors.log import open_log
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.indicators import Indicators
from schemas.registry import TOPICS
from serving.client import Desk
from serving.settings import Settings
from tests.sql.queried_day import landed, made_books, made_nbbo, plain
from tests.stores import store_process


@pytest.fixture(scope="module")
def desk(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A day of IBM's trades with its bars and indicators, and made-up best prices and books of it."""
    settings = Settings(home=tmp_path_factory.mktemp("queries"))
    folder = shared / "ticks" / "us_equity_taq" / "ibm"
    with open_log(settings.log) as log:
        create_topics(log, partitions=1)
        feed(log, [folder / "20131007_trade.zip"], FeedOptions())
        run_until_end(log, [Bars, Indicators])
        with store_process(settings.home / "store"), Desk(settings) as opened:
            with Lander(log, settings.store, settings.lake_path) as lander:
                lander.run_until_end()
            with connect(settings.store) as client:
                for name, columns in (("nbbo", made_nbbo()), ("book_top", made_books())):
                    insert(client, TOPICS[name], landed(TOPICS[name], columns), name)
            yield opened


@pytest.fixture(scope="module")
def duck(desk: Desk) -> duckdb.DuckDBPyConnection:
    """The same rows in DuckDB, as the log and the lake have them."""
    found = duckdb.connect()
    for name in ("trades", "bars", "indicators"):
        found.register(name, plain(desk.rows(name)).to_arrow())
    for name, columns in (("nbbo", made_nbbo()), ("book_top", made_books())):
        found.register(name, plain(pl.from_arrow(landed(TOPICS[name], columns))).to_arrow())
    found.execute("SET TimeZone = 'UTC'")
    return found
