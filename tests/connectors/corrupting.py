"""Damage on disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

from connectors.sqlite_rows import table


def corrupt(path: Path, topic: str, offset: int) -> None:
    """Change a byte of a record of a topic's partition 0 in a log file."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT id FROM partitions WHERE topic = ? AND partition = 0"
        (place,) = connection.execute(query, (topic,)).fetchone()
        name = table(place)
        (value,) = connection.execute(
            f"SELECT value FROM {name} WHERE record_offset = ?",
            (offset,),
        ).fetchone()
        changed = bytes([value[0] ^ 0xFF]) + value[1:]
        connection.execute(
            f"UPDATE {name} SET value = ? WHERE record_offset = ?",
            (changed, offset),
        )
        connection.commit()
