"""What there is to read: the topics' tables, the views over them, and the few tables of `system` that clients need."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import sqlglot
from sqlglot import exp

from connectors.sql_texts import sql_folder
from schemas.registry import TOPICS

DATABASE = "default"

SYSTEM_TABLES = MappingProxyType(
    {
        # What drivers ask for at the beginning, and what shows a schema: the engine shows of it what its role
        # may see. None has a statement or a row of another user.
        "system": frozenset(
            {"columns", "databases", "data_type_families", "formats", "functions", "keywords"}
            | {"numbers", "one", "settings", "table_engines", "tables", "time_zones"}
        ),
        "information_schema": frozenset({"columns", "schemata", "tables", "views"}),
    }
)
"""Readable tables by database, both in lower case."""

PRIVATE_TOPICS = frozenset(
    # Who trades what, and who has what.
    {"orders", "order_events", "instructions", "order_reports", "executions", "routing_decisions"}
    | {"algorithm_reports", "broker_orders", "broker_reports"}
    | {"accounts", "cash_movements", "positions", "lot_closings", "balances", "ledger_faults"}
    # Who did what; and whatever bytes somebody sent, of any of these too.
    | {"audit_log", "dead_letter"}
)
"""Topics that are not for everybody who may look at the market."""


@dataclass(frozen=True, slots=True)
class ReadScope:
    """What somebody may read.

    Parameters
    ----------
    topics : frozenset of str
        Topics whose tables are readable; a view is where all that it reads is.
    """

    topics: frozenset[str]

    @property
    def tables(self) -> frozenset[str]:
        """Readable tables and views of the database `DATABASE`."""
        open_views = {name for name, reads in views().items() if reads <= self.topics}
        return frozenset(self.topics & frozenset(TOPICS) | open_views)


def every_topic() -> ReadScope:
    """A scope of all topics."""
    return ReadScope(frozenset(TOPICS))


@cache
def views() -> MappingProxyType[str, frozenset[str]]:
    """The views of ``sql/views``, each with the topics that it reads, through other views too."""
    found: dict[str, frozenset[str]] = {}
    for file in sorted(sql_folder("views").glob("*.sql")):
        tree = sqlglot.parse_one(file.read_text(), dialect="clickhouse")
        name = tree.this.name
        common = {one.alias for one in tree.find_all(exp.CTE)}
        reads = {one.name for one in tree.expression.find_all(exp.Table)} - common
        found[name] = frozenset(_topics_of(reads, found))
    return MappingProxyType(found)


def _topics_of(reads: Iterable[str], known: dict[str, frozenset[str]]) -> Iterable[str]:
    for name in reads:
        if name in known:
            yield from known[name]
        elif name in TOPICS:
            yield name
        else:
            raise ValueError(f"a view reads {name!r}, which is neither a topic nor an earlier view")
