"""Which topics and partitions a SQLite log has, and under which table numbers."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from connectors.log import TopicConfig, UnknownTopicError
from connectors.sqlite_file import SqliteFile
from connectors.sqlite_rows import create_statement, table

# Partitions that one statement asks for; SQLite takes up to 2,000 columns.
_AT_ONCE = 500
# Of the tails: who appends names other partitions each time, and a statement of few is known from before.
_TAILS_AT_ONCE = 4
# Partition numbers are never used twice, so that a stale reader of a deleted topic finds nothing.
SCHEMA = """
CREATE TABLE topics (
    name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, retention_ns INTEGER, synced INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    start INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE writers (
    name TEXT PRIMARY KEY, number INTEGER NOT NULL, generation INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE checkpoints (number INTEGER NOT NULL);
INSERT INTO checkpoints VALUES (0)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A partition of a topic, and the number of its table."""

    id: int
    topic: str
    partition: int
    synced: bool

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"

    def end(self, connection: sqlite3.Connection) -> int:
        """The next offset."""
        return self.bounds(connection)[1]

    def bounds(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """The first offset kept, and the next one, both of one moment.

        Raises
        ------
        UnknownTopicError
            Where the topic was deleted.
        """
        query = f"SELECT start, (SELECT max(record_offset) FROM {table(self.id)}) FROM partitions WHERE id = ?"  # noqa: S608 - an integer of ours
        row = connection.execute(query, (self.id,)).fetchone()
        if row is None:
            raise self.deleted()
        start, newest = row
        return start, start if newest is None else newest + 1

    def start(self, connection: sqlite3.Connection) -> int:
        """The first offset kept.

        Raises
        ------
        UnknownTopicError
            Where the topic was deleted.
        """
        query = "SELECT start FROM partitions WHERE id = ?"
        row = connection.execute(query, (self.id,)).fetchone()
        if row is None:
            raise self.deleted()
        return int(row[0])

    def deleted(self) -> UnknownTopicError:
        """The error for a partition that is not there any more."""
        return UnknownTopicError(f"{self}: the topic was deleted")


def ends(connection: sqlite3.Connection, places: Sequence[Place]) -> list[int]:
    """The next offsets of partitions, all of one moment where they are few."""
    found: list[int] = []
    for at in range(0, len(places), _AT_ONCE):
        some = places[at : at + _AT_ONCE]
        row = connection.execute(_ends_query(tuple(place.id for place in some))).fetchone()
        if None in row:
            raise some[row.index(None)].deleted()
        found += row
    return found


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a partition goes on: the next offset, and the newest append time (0 where there is none)."""

    end: int
    newest_ns: int


@lru_cache(maxsize=1024)
def _ends_query(numbers: tuple[int, ...]) -> str:
    """One statement: each is a transaction, and lets go of Python's interpreter, for which its thread then waits."""
    columns = (
        f"coalesce((SELECT max(record_offset) + 1 FROM {table(number)}), "  # noqa: S608 - an integer of ours
        f"(SELECT start FROM partitions WHERE id = {number}))"
        for number in numbers
    )
    return f"SELECT {', '.join(columns)}"


@lru_cache(maxsize=1024)
def _tails_query(numbers: tuple[int, ...]) -> str:
    """Of each partition its start, its newest offset and when that was appended; one statement, as above."""
    columns = (
        f"(SELECT start FROM partitions WHERE id = {number}), "  # noqa: S608 - an integer of ours
        f"(SELECT max(record_offset) FROM {table(number)}), "
        f"(SELECT append_time_ns FROM {table(number)} ORDER BY record_offset DESC LIMIT 1)"
        for number in numbers
    )
    return f"SELECT {', '.join(columns)}"


class Catalog:
    """The topics of a log; what was read once is kept, and read again where a name is not found."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._topics: dict[str, TopicConfig] = {}
        self._places: dict[tuple[str, int], Place] = {}

    def config(self, topic: str) -> TopicConfig | None:
        """How a topic is kept; None where there is none of that name."""
        return self._topics.get(topic) or self.reload().get(topic)

    def place(self, topic: str, partition: int) -> Place:
        """Where a partition is.

        Raises
        ------
        UnknownTopicError
            Where there is no such topic or partition.
        """
        place = self._places.get((topic, partition))
        if place is None:
            config = self.reload().get(topic)
            place = self._places.get((topic, partition))
            if place is None:
                has = (
                    f"it has {config.partitions} partitions" if config else "there is no such topic"
                )
                raise UnknownTopicError(
                    f"{topic}[{partition}] in {self._file.path}: {has}; `tapeflow topics` lists them"
                )
        return place

    def reload(self) -> dict[str, TopicConfig]:
        """Read the catalogue again."""
        with self._file.reading() as connection:
            # One statement: topics and partitions of one moment.
            rows = connection.execute(
                "SELECT p.id, p.topic, p.partition, t.partitions, t.retention_ns, t.synced "
                "FROM topics t JOIN partitions p ON p.topic = t.name ORDER BY t.name, p.partition"
            ).fetchall()
        topics: dict[str, TopicConfig] = {}
        places: dict[tuple[str, int], Place] = {}
        for number, name, partition, partitions, retention_ns, synced in rows:
            if name not in topics:
                topics[name] = TopicConfig(
                    name=name,
                    partitions=partitions,
                    retention_ns=retention_ns,
                    synced=bool(synced),
                )
            places[name, partition] = Place(number, name, partition, bool(synced))
        self._topics, self._places = topics, places
        return dict(topics)

    def create(self, connection: sqlite3.Connection, config: TopicConfig) -> TopicConfig:
        """Make a topic in a transaction, unless another process has; returns what is there."""
        row = connection.execute(
            "SELECT partitions, retention_ns, synced FROM topics WHERE name = ?", (config.name,)
        ).fetchone()
        if row is not None:
            return TopicConfig(
                name=config.name, partitions=row[0], retention_ns=row[1], synced=bool(row[2])
            )
        connection.execute(
            "INSERT INTO topics VALUES (?, ?, ?, ?)",
            (config.name, config.partitions, config.retention_ns, config.synced),
        )
        for partition in range(config.partitions):
            number = connection.execute(
                "INSERT INTO partitions (topic, partition) VALUES (?, ?)", (config.name, partition)
            ).lastrowid
            connection.execute(create_statement(int(number or 0)))
        return config

    def tails(self, connection: sqlite3.Connection, places: Iterable[Place]) -> dict[Place, Tail]:
        """Where partitions go on, in a transaction.

        Raises
        ------
        UnknownTopicError
            Where a topic was deleted since it was read; it is forgotten.
        """
        ordered = sorted(places, key=lambda place: place.id)
        found = {}
        for at in range(0, len(ordered), _TAILS_AT_ONCE):
            some = ordered[at : at + _TAILS_AT_ONCE]
            try:
                row = connection.execute(_tails_query(tuple(one.id for one in some))).fetchone()
            except sqlite3.OperationalError:
                for place in some:
                    self._check(connection, place)
                raise
            for place, start, newest, time_ns in zip(
                some, row[::3], row[1::3], row[2::3], strict=True
            ):
                found[place] = Tail(start if newest is None else newest + 1, time_ns or 0)
        return found

    def _check(self, connection: sqlite3.Connection, place: Place) -> None:
        """Raise UnknownTopicError, and forget the topic, where it was deleted since it was read."""
        try:
            place.start(connection)
        except UnknownTopicError:
            self._places.pop((place.topic, place.partition), None)
            self._topics.pop(place.topic, None)
            raise

    def delete(self, connection: sqlite3.Connection, topic: str) -> None:
        """Delete a topic in a transaction.

        Raises
        ------
        UnknownTopicError
            Where there is no such topic.
        """
        numbers = connection.execute(
            "SELECT id FROM partitions WHERE topic = ?", (topic,)
        ).fetchall()
        if not numbers:
            raise UnknownTopicError(f"topic {topic} in {self._file.path}: there is no such topic")
        for (number,) in numbers:
            connection.execute(f"DROP TABLE {table(number)}")
        connection.execute("DELETE FROM partitions WHERE topic = ?", (topic,))
        connection.execute("DELETE FROM topics WHERE name = ?", (topic,))
