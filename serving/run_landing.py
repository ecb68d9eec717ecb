"""A run's rows in ClickHouse and in the lake: a database ``run_NAME`` and a folder ``_runs/NAME`` of their own.

What a run has not computed is read through: a topic that is none of its own is a view of the live table, so
that every view and query works in the run's database.
"""

import shutil
from functools import partial
from pathlib import Path

from clickhouse_connect.driver.client import Client

from connectors.clickhouse import StoreLink, with_database
from connectors.control import LANDINGS_TOPIC
from connectors.lander import Lander
from connectors.log import Log, TopicConfig
from connectors.run_log import RunLog
from schemas.registry import TOPICS

_FOLDER = "_runs"


def database_of(run: str) -> str:
    """Name of a run's ClickHouse database."""
    return f"run_{run}"


def lake_of(lake: Path, run: str) -> Path:
    """Folder of a run's lake: one like the live one, beside its topics."""
    return lake / _FOLDER / run


def land_run(kept_in: Log, run: str, store: str, lake: Path, own: set[str]) -> dict[str, int]:
    """Land a run's topics, each row once; again, it lands what has not landed yet.

    Parameters
    ----------
    kept_in : Log
        Where the run's topics are.
    run : str
        Its name.
    store, lake : str, Path
        The live store and lake.
    own : set of str
        Topics that the run has; the others are views of the live tables.

    Returns
    -------
    dict of str to int
        Topic to rows landed in ClickHouse this time.
    """
    with StoreLink(store) as link:
        link.run(partial(_make_database, run=run, own=own))
    log = RunLog(run, kept_in)
    log.create_topic(TopicConfig(name=LANDINGS_TOPIC, partitions=1))
    folder = lake_of(lake, run)
    with Lander(log, with_database(store, database_of(run)), folder) as lander:
        lander.run_until_end()
        return dict(lander.metrics.rows["clickhouse"])


def drop_landed(run: str, store: str, lake: Path) -> None:
    """Remove a run's database and folder; nothing happens where they are not there."""
    with StoreLink(store) as link:
        link.run(lambda client: client.command(f"DROP DATABASE IF EXISTS {database_of(run)}"))
    shutil.rmtree(lake_of(lake, run), ignore_errors=True)


def _make_database(client: Client, *, run: str, own: set[str]) -> None:
    database = database_of(run)
    client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    live = client.database or "default"
    asked = {"database": live}
    there = "SELECT name FROM system.tables WHERE database = {database:String}"
    tables = {name for (name,) in client.query(there, parameters=asked).result_rows}
    for name in sorted(TOPICS.keys() & tables - own):
        client.command(
            f"CREATE VIEW IF NOT EXISTS {database}.`{name}` AS SELECT * FROM `{live}`.`{name}`"  # noqa: S608 - names of ours
        )
