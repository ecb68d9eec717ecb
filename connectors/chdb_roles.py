"""What the embedded engine itself lets a session do: roles in ClickHouse's access configuration.

chDB has one user. It is given a role for each table that may be granted, and one that owns everything; a session
for an analyst takes on only the roles of what it may read (``SET ROLE``), and can then neither write, nor reach
files or other computers, whatever its statement says. The statement cannot take on others: it is one SELECT.
"""

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from connectors.sql_guard_tables import DATABASE, views
from schemas.registry import TOPICS

_FOLDER = "access"
OWNER = "tapeflow_owner"
LANDER = "tapeflow_lander"
# Everybody's: to ask for nothing but constants needs no right, but a role must be there to take on.
_READS = "tapeflow_reads_"
# To make a view anew is to drop it.
_LANDS = ("SELECT", "INSERT", "CREATE TABLE", "CREATE VIEW", "DROP VIEW", "SHOW")


def read_role(table: str) -> str:
    """The role that may read one of our tables or views."""
    return f"{_READS}{table}"


def roles_for(tables: Iterable[str]) -> tuple[str, ...]:
    """The roles of a session that reads these tables and views, and no others."""
    return tuple(read_role(table) for table in sorted(tables))


def write_access(store: Path) -> Path:
    """Write the engine's access configuration into a store's folder, anew at every start.

    Parameters
    ----------
    store : Path
        The folder.

    Returns
    -------
    Path
        The configuration that chDB is to be opened with.
    """
    folder = store / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    users, config = folder / "users.xml", folder / "config.xml"
    users.write_text(_users())
    config.write_text(
        f"<clickhouse><users_config>{escape(str(users))}</users_config></clickhouse>\n"
    )
    return config


def _users() -> str:
    names = [*TOPICS, *views()]
    roles = {
        OWNER: ["GRANT ALL ON *.* WITH GRANT OPTION"],
        LANDER: [
            f"GRANT {', '.join(_LANDS)} ON {DATABASE}.*",
            # An insert's data comes as a file in memory; a lander's statements name no file.
            "GRANT READ ON FILE",
        ],
        **{read_role(name): [f"GRANT SELECT ON {DATABASE}.{name}"] for name in names},
    }
    defined = "".join(
        f"<{role}><grants>{''.join(f'<query>{one}</query>' for one in grants)}</grants></{role}>"
        for role, grants in roles.items()
    )
    granted = "".join(f"<query>GRANT {role}</query>" for role in roles)
    return (
        "<clickhouse><profiles><default></default></profiles><quotas><default></default></quotas>"
        f"<roles>{defined}</roles>"
        "<users><default><password></password><networks><ip>::/0</ip></networks>"
        f"<profile>default</profile><quota>default</quota><grants>{granted}</grants></default></users>"
        "</clickhouse>\n"
    )
