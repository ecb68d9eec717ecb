"""Appends to the SQLite log: plain ones, and those of fenced writers."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from connectors.log import FencedError, NewRecord, Writer
from connectors.metrics import FENCED
from connectors.sqlite_catalog import Catalog, Place
from connectors.sqlite_file import PAGE_BYTES, SqliteFile
from connectors.sqlite_rows import Row, insert_statement, to_row


class Appender:
    """Puts records behind the last ones of their partitions.

    Parameters
    ----------
    file : SqliteFile
        Where.
    catalog : Catalog
        Its topics.
    """

    def __init__(self, file: SqliteFile, catalog: Catalog) -> None:
        self.file = file
        self._catalog = catalog

    @contextmanager
    def transaction(self, records: Sequence[NewRecord]) -> Iterator[sqlite3.Connection]:
        """A transaction for these records, on disk at its end if one of their topics is synced."""
        # The catalogue is asked outside of the transaction: it may have to be read again.
        places = {self._catalog.place(record.topic, record.partition) for record in records}
        synced = any(place.synced for place in places)
        # Each partition's last page is written anew, and that of the writers.
        size_bytes = sum(len(record.value or b"") for record in records) + PAGE_BYTES * (
            len(places) + 1
        )
        with self.file.writing(synced=synced, size_bytes=size_bytes) as connection:
            yield connection

    def insert(self, connection: sqlite3.Connection, records: Sequence[NewRecord]) -> list[int]:
        """Insert records in a transaction for them; returns the offset of each."""
        places = [self._catalog.place(record.topic, record.partition) for record in records]
        rows: dict[Place, list[Row]] = {place: [] for place in places}
        tails = self._catalog.tails(connection, rows)
        # The wall clock may step back; append times of a partition never do. And a commit has one time in all
        # its partitions: a repair that cuts by time takes it whole or leaves it.
        append_time_ns = max([time.time_ns(), *(tail.newest_ns for tail in tails.values())])
        offsets = []
        for place, record in zip(places, records, strict=True):
            offset = tails[place].end + len(rows[place])
            rows[place].append(to_row(place.id, offset, append_time_ns, record))
            offsets.append(offset)
        for place, of_place in rows.items():
            connection.executemany(insert_statement(place.id), of_place)
        return offsets


class SqliteWriter(Writer):
    """A fenced writer; its number and generation lie in the database that it writes.

    Parameters
    ----------
    appender : Appender
        The log's.
    name : str
        The writer's.
    """

    def __init__(self, appender: Appender, name: str) -> None:
        self.name = name
        self._appender = appender
        with appender.file.writing() as connection:
            connection.execute(
                "INSERT INTO writers (name, number, generation) VALUES (?, 0, 1) "
                "ON CONFLICT (name) DO UPDATE SET generation = generation + 1",
                (name,),
            )
            _, self._generation = _number_and_generation(connection, name)

    @property
    def number(self) -> int:
        """Number of the last commit of this name; 0 before the first."""
        with self._appender.file.reading() as connection:
            return _number_and_generation(connection, self.name)[0]

    def commit(self, records: Sequence[NewRecord], number: int) -> list[int]:
        """Append records to any topics, all or none, as commit ``number``."""
        with self._appender.transaction(records) as connection:
            moved = connection.execute(
                "UPDATE writers SET number = ? WHERE name = ? AND number = ? AND generation = ?",
                (number, self.name, number - 1, self._generation),
            )
            if not moved.rowcount:
                raise self._fenced(connection, number)
            return self._appender.insert(connection, records)

    def close(self) -> None:
        """Nothing is held between commits."""

    def _fenced(self, connection: sqlite3.Connection, number: int) -> FencedError:
        """Why a commit is not the next one of this name."""
        FENCED.labels(self.name).inc()
        last, generation = _number_and_generation(connection, self.name)
        where = f"writer {self.name} in {self._appender.file.path}"
        if generation != self._generation:
            return FencedError(f"{where}: another copy of it was started since; this one must end")
        return FencedError(
            f"{where}: commit {last + 1} is the next one, {number} came: start again from the "
            "last progress record"
        )


def _number_and_generation(connection: sqlite3.Connection, name: str) -> tuple[int, int]:
    number, generation = connection.execute(
        "SELECT number, generation FROM writers WHERE name = ?", (name,)
    ).fetchone()
    return number, generation
