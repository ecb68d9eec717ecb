"""Where landed rows are read for the checks of quality: ClickHouse's tables, or the lake's files by a ClickHouse of our own."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import connect, create_tables
from connectors.parquet import period_folders, period_name
from schemas.sessions import DAY_NS
from schemas.topic import Topic

CLICKHOUSE = "clickhouse"
LAKE = "lake"


@dataclass(frozen=True)
class Source:
    """Landed rows.

    Parameters
    ----------
    target : str
        `CLICKHOUSE` or `LAKE`.
    client : Client
        Who computes.
    lake : Path or None
        Folder of the lake, where the rows are in files.
    """

    target: str
    client: Client
    lake: Path | None = None

    def has(self, topic: Topic) -> bool:
        """Whether there may be rows of a topic."""
        return self.lake is None or any(
            (self.lake / topic.name).glob(f"{period_name(topic)}=*/*.parquet")
        )

    def rows(self, topic: Topic, first_day: int | None = None, last_day: int | None = None) -> str:
        """What stands behind FROM for a topic's rows, of all days or from a first to a last one."""
        where = f"`{topic.name}`" if self.lake is None else self._files(topic, first_day, last_day)
        if first_day is None or last_day is None:
            return where
        # A comparison of the event time alone: a table or a file is skipped by it.
        start, end = _midnight(first_day), _midnight(last_day + 1)
        time = f"`{topic.event_time}`"
        return f"(SELECT * FROM {where} WHERE {time} >= {start} AND {time} < {end})"  # noqa: S608

    def query(self, statement: str) -> pl.DataFrame:
        """Run a query."""
        table: pa.Table = self.client.query_arrow(statement, use_strings=True)
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - of a table, it is one
        return frame

    def _files(self, topic: Topic, first_day: int | None, last_day: int | None) -> str:
        assert self.lake is not None  # noqa: S101 - asked by the caller
        found = (self.lake / topic.name).glob(f"{period_name(topic)}=*")
        folders = sorted(path.name for path in found)
        if first_day is not None and last_day is not None:
            days = np.array([first_day, last_day], dtype=np.int64)
            bounds = period_folders(topic, days * DAY_NS).tolist()
            folders = [name for name in folders if bounds[0] <= name <= bounds[-1]]
        names = "{" + ",".join(folders) + "}" if len(folders) > 1 else "".join(folders)
        path = str(self.lake / topic.name / names / "*.parquet").replace("'", "\\'")
        return f"file('{path}', 'Parquet')"


@contextmanager
def open_source(target: str, store_url: str, lake: Path) -> Iterator[Source]:
    """The landed rows of ClickHouse or of the lake.

    Parameters
    ----------
    target : str
        `CLICKHOUSE` or `LAKE`.
    store_url : str
        The store; not touched for the lake.
    lake : Path
        Folder of the lake.

    Raises
    ------
    connectors.chdb_engine.StoreError
        Where the store cannot be reached.
    """
    if target == CLICKHOUSE:
        with connect(store_url) as client:
            create_tables(client)
            yield Source(target, client)
        return
    # A ClickHouse server may be on a machine that does not see the lake: its files are read here.
    with (
        tempfile.TemporaryDirectory(prefix="tapeflow-quality-") as folder,
        connect(f"chdb:///{folder}") as client,
    ):
        yield Source(target, client, lake)


def blocks(days: Sequence[int], rows: Sequence[int], rows_max: int) -> Iterator[tuple[int, int]]:
    """First and last day of runs of days that have at most so many rows together, at least one each.

    Examples
    --------
    >>> list(blocks([1, 2, 5, 6], [4, 4, 9, 1], 8))
    [(1, 2), (5, 5), (6, 6)]
    """
    first, count = None, 0
    last = 0
    for day, more in zip(days, rows, strict=True):
        if first is not None and count + more > rows_max:
            yield first, last
            first, count = None, 0
        if first is None:
            first = day
        last, count = day, count + more
    if first is not None:
        yield first, last


def _midnight(day: int) -> str:
    return f"toDateTime64('{np.datetime64(day, 'D')} 00:00:00', 9, 'UTC')"
