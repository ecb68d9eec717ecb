"""A repeated insert is looked up, and sent again no more often than can help."""

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import connect
from connectors.landing_portion import portion_of
from connectors.landing_recheck import insert_whole
from connectors.landing_tail import read_span
from connectors.landings import CLICKHOUSE, Intent, Span
from connectors.log import Log
from connectors.store_refusals import StoreRefusedError
from connectors.topics import create_topics
from schemas.clickhouse_ddl import create_table
from schemas.market import TRADES
from tests.connectors.landing_rows import append_trades


def count(client: Client) -> int:
    return int(client.command("SELECT count() FROM trades"))


def test_rows_that_a_store_takes_and_does_not_keep_are_told(
    sqlite_log: Log, store_url: str
) -> None:
    """They were sent again for ever: a table's TTL that is over for them is enough."""
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 5)
    span = Span(0, 0, sqlite_log.end("trades", 0))
    rows = portion_of(TRADES, [read_span(sqlite_log, "trades", TRADES, span)]).rows
    assert isinstance(rows, pa.Table)
    intent = Intent(1, CLICKHOUSE, "trades", (span,), "token")
    with connect(store_url) as client:
        client.command(create_table(TRADES))
        insert_whole(client, intent, TRADES, rows)
        insert_whole(client, intent, TRADES, rows)
        assert count(client) == rows.num_rows
        client.command("CREATE TABLE nothing AS trades ENGINE = Null")
        client.command("EXCHANGE TABLES nothing AND trades")
        with pytest.raises(StoreRefusedError, match=r"200 rows of table `trades`, 12 times.*a TTL"):
            insert_whole(client, intent, TRADES, rows)
