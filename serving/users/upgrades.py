"""Upgrades of the users database: how tables that an older version of the platform made become today's.

A change of `serving.users.models` comes with one more entry here, which says it for the tables that there are.
"""

from sqlalchemy import Connection, text

# The entry at i makes version i + 2 out of i + 1, by statements that SQLite and PostgreSQL both understand.
UPGRADES: tuple[tuple[str, ...], ...] = ()


def schema_version() -> int:
    """The version that the models are of."""
    return len(UPGRADES) + 1


def upgrade(connection: Connection, version: int) -> None:
    """Bring tables of an older version up to the newest, in the caller's transaction: wholly, or not at all."""
    for statements in UPGRADES[version - 1 :]:
        for statement in statements:
            connection.execute(text(statement))
