"""What of an insert is really in ClickHouse, after a try of it that may have been cut off.

A plain MergeTree writes an insert's token into its deduplication log, and then renames the part that it has made. A
server that dies between the two knows the token and has no rows, of one part (a day, a month) of the insert or of all;
the insert repeated under that token is then taken for a repetition and changes nothing. So a repeated insert is
looked up, and what is missing is inserted under a token of its own.
"""

from collections.abc import Iterator

import pyarrow as pa
import structlog
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import insert
from connectors.landings import Intent
from connectors.store_refusals import StoreRefusedError
from schemas.topic import Topic

_POSITION = ["_partition", "_offset", "_row"]
# A token is used up by a server that died at it: so many in a row is another matter.
_TRIES = 12

log_line = structlog.get_logger(__name__)


def insert_whole(client: Client, intent: Intent, topic: Topic, rows: pa.Table) -> None:
    """Insert an intent's rows, of which an earlier try may have left all, some or none.

    Safe to repeat. Once the store has answered an insert under a token, whatever an earlier try under that
    token was still at is there or never will be: so what is missing then can only be missing for good, and
    a token of its own doubles nothing.

    Parameters
    ----------
    client : Client
        The store.
    intent : Intent
        Ranges and token.
    topic : Topic
        Whose table.
    rows : pyarrow.Table
        All rows of the intent.

    Raises
    ------
    StoreRefusedError
        Where the store says again and again that it has taken rows, and does not have them.
    """
    token, tries = intent.token, 0
    missing = rows
    while missing.num_rows:
        insert(client, topic, missing, token)
        missing = rows.filter(_not_in(_there(client, intent, topic), rows))
        tries += 1
        token = f"{intent.token}/{tries}"
        if missing.num_rows and tries == _TRIES:
            raise StoreRefusedError(
                f"ClickHouse says that it has taken {missing.num_rows} rows of table `{topic.name}`, {tries} times, "
                f"and does not have them (token {intent.token}). Look whether the table has a TTL that is over for "
                f"them, a row policy, or another engine than sql/tables/{topic.name}.sql. Nothing is lost: the range "
                "stays open, and the next start of the lander writes it again"
            )
        if missing.num_rows:
            log_line.warning(
                "insert_was_cut_off", topic=topic.name, token=intent.token, rows=missing.num_rows
            )


def _there(client: Client, intent: Intent, topic: Topic) -> set[tuple[int, ...]]:
    """Positions within an intent's ranges that the table has."""
    ranges = " OR ".join(
        f"(_partition = {span.partition} AND _offset >= {span.start} AND _offset < {span.end})"
        for span in intent.spans
    )
    found = client.query_arrow(
        f"SELECT {', '.join(_POSITION)} FROM `{topic.name}` WHERE {ranges}"  # noqa: S608 - names and integers of ours
    )
    return set(_positions(found))


def _not_in(there: set[tuple[int, ...]], rows: pa.Table) -> pa.Array:
    return pa.array([position not in there for position in _positions(rows)], pa.bool_())


def _positions(rows: pa.Table) -> Iterator[tuple[int, ...]]:
    return zip(*(rows.column(name).to_pylist() for name in _POSITION), strict=True)
