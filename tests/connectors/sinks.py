"""What is in the sinks, row by row, for tests of the lander."""

from pathlib import Path

import polars as pl
from clickhouse_connect.driver.client import Client

from connectors.log import Log
from schemas.market import TRADES
from tests.connectors.landing_rows import positions


def in_clickhouse(client: Client) -> list[tuple[int, int, int]]:
    return client.query("SELECT _partition, _offset, _row FROM trades ORDER BY ALL").result_rows


def in_lake(lake: Path) -> list[tuple[int, int, int]]:
    found = pl.scan_parquet(lake / "trades", hive_partitioning=True)
    return found.select("_partition", "_offset", "_row").collect().sort(pl.all()).rows()


def assert_whole(log: Log, client: Client, lake: Path) -> None:
    """Each row of the log once in each sink."""
    wanted = sorted(positions(TRADES, log))
    assert in_clickhouse(client) == wanted
    assert in_lake(lake) == wanted
