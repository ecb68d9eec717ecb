"""The embedded topic log: one SQLite database in WAL mode, shared by threads and processes.

Atomic appends are transactions. A killed process loses nothing that was acknowledged; a power cut loses
nothing of topics declared synced. The file itself is `connectors.sqlite_file`'s business.
"""

import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from connectors.log import (
    SAMPLES,
    Chunk,
    CorruptLogError,
    Log,
    LogError,
    NewRecord,
    Record,
    Stretch,
    TopicConfig,
    TruncatedError,
    UnknownTopicError,
    Writer,
)
from connectors.sqlite_append import Appender, SqliteWriter
from connectors.sqlite_catalog import SCHEMA, Catalog, Place, ends
from connectors.sqlite_file import SqliteFile, is_corrupt
from connectors.sqlite_rows import (
    ChecksumError,
    select_statement,
    table,
    to_record,
)
from connectors.sqlite_sampling import offset_at, stretches

_PREFIX = "sqlite:///"
# Who was woken by commits to other topics looks again no sooner: a look takes 10 us, and commits may be many.
_PAUSE_S = 0.00025
# And so often without a signal: a program of an earlier version sends none.
_LOOK_S = 0.05
# Records below the start are those that a trim has not deleted yet.
_FROM_OFFSET = (
    "WHERE record_offset >= max(?, (SELECT start FROM partitions WHERE id = ?)) "
    "ORDER BY record_offset"
)
# A trim deletes so many records at most a transaction, so that appends are not held up.
_TRIM_RECORDS = 256
# And so much free room is given back, for which as much may have to be moved.
_VACUUM_BYTES = 16 << 20
_INCREMENTAL = 2


class SqliteLog(Log):
    """A log in one SQLite file.

    Parameters
    ----------
    url : str
        ``sqlite:///relative/path.db`` or ``sqlite:////absolute/path.db``; made where it is not there.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.path = path_of(url)
        self._file = SqliteFile(self.path, SCHEMA)
        self._catalog = Catalog(self._file)
        # What was last asked in vain: connection, version of the data, positions.
        self._nothing_new: tuple[object, object, Mapping[tuple[str, int], int]] = (None, None, {})
        self._appender = Appender(self._file, self._catalog)

    def create_topic(self, config: TopicConfig) -> None:
        """Make a topic if it is not there; on disk when this returns."""
        self.create_topics([config])

    def create_topics(self, configs: Sequence[TopicConfig]) -> None:
        """Make the topics that are not there, in one transaction: each would be synced by itself, and there are dozens."""
        known = self._catalog.reload()
        missing = [config for config in configs if config.name not in known]
        if missing:
            with self._file.writing(synced=True) as connection:
                known |= {one.name: self._catalog.create(connection, one) for one in missing}
            self._catalog.reload()
        for config in configs:
            partitions = known[config.name].partitions
            if partitions != config.partitions:
                raise LogError(
                    f"topic {config.name} in {self.path}: {config.partitions} partitions were asked for, it "
                    f"has {partitions}, and the count is fixed: use that, or delete the topic first"
                )

    def topics(self) -> dict[str, TopicConfig]:
        """The topics by name."""
        return self._catalog.reload()

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append records in one transaction: all or none."""
        if not records:
            return []
        with self._appender.transaction(records) as connection:
            return self._appender.insert(connection, records)

    def writer(self, name: str) -> Writer:
        """Open a writer, fencing every earlier copy of the same name."""
        return SqliteWriter(self._appender, name)

    def read(self, topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        """Committed records from ``offset`` on; those before a damaged one are given, at it is an error."""
        place = self._catalog.place(topic, partition)
        records: list[Record] = []
        with self._table(place), self._file.reading() as connection:
            try:
                self._collect(connection, place, offset, max_bytes, records)
            except (ChecksumError, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.DatabaseError) and not is_corrupt(error):
                    raise
                if not records and not self._collect_one(connection, place, offset, records):
                    raise self._damaged(place, offset, error) from error
            if not records and offset != place.bounds(connection)[1]:
                self._check_position(connection, place, offset)
        return Chunk(tuple(records), offset + len(records))

    def start(self, topic: str, partition: int) -> int:
        """The first offset kept."""
        place = self._catalog.place(topic, partition)
        with self._table(place), self._file.reading() as connection:
            return place.start(connection)

    def end(self, topic: str, partition: int) -> int:
        """The offset that follows the last committed record."""
        place = self._catalog.place(topic, partition)
        with self._table(place), self._file.reading() as connection:
            return place.end(connection)

    def last(self, topic: str, partition: int) -> Record | None:
        """The newest committed record, or None."""
        place = self._catalog.place(topic, partition)
        query = select_statement(place.id, "ORDER BY record_offset DESC LIMIT 1")
        with self._table(place), self._file.reading() as connection:
            row = connection.execute(query).fetchone()
        if row is None:
            return None
        try:
            return to_record(place.id, topic, partition, row)
        except ChecksumError as error:
            raise self._damaged(place, row[0], error) from error

    def wait(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """Sleep until there is something at or beyond a position; each commit in any process wakes who waits."""
        with self._file.reading() as connection:
            if self._has_any(connection, positions):
                return True
            if timeout_s <= 0:
                return False
            until, left_s = time.monotonic() + timeout_s, timeout_s
            with self._file.watching() as watch:
                while left_s > 0:
                    watch.clear()
                    if self._has_any(connection, positions):
                        return True
                    if watch.wait(min(left_s, _LOOK_S)):
                        if self._has_any(connection, positions):
                            return True
                        time.sleep(min(_PAUSE_S, left_s))
                    left_s = until - time.monotonic()
            return self._has_any(connection, positions)

    def news(self, positions: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
        """Which partitions have their end elsewhere; of one that ends before its position, a read says why."""
        with self._file.reading() as connection:
            found = self._ends(connection, positions)
        if found is None:
            return list(positions)
        places = zip(positions.items(), found, strict=True)
        return [where for (where, offset), end in places if offset != end]

    def _has_any(
        self, connection: sqlite3.Connection, positions: Mapping[tuple[str, int], int]
    ) -> bool:
        """Whether any of these partitions has something at or beyond its position, or none can tell."""
        # The same connection, the same version, the same question: the same answer.
        known = (connection, connection.execute("PRAGMA data_version").fetchone())
        # Taken once: another thread may set it meanwhile.
        *of, asked = self._nothing_new
        if tuple(of) == known and asked == positions:
            return False
        found = self._ends(connection, positions)
        if found is None or any(
            end > at for at, end in zip(positions.values(), found, strict=True)
        ):
            return True
        self._nothing_new = (*known, dict(positions))
        return False

    def _ends(
        self, connection: sqlite3.Connection, where: Collection[tuple[str, int]]
    ) -> list[int] | None:
        """The ends of partitions; None where one is damaged: reads come to the damage, and say so."""
        places = [self._catalog.place(*one) for one in where]
        try:
            return ends(connection, places)
        except sqlite3.DatabaseError as error:
            if is_corrupt(error):
                return None
            if "no such table" not in str(error):
                raise
        found = []
        for place in places:
            with self._table(place):
                found.append(place.end(connection))
        return found

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Cut the records whose offset is below ``before``, in several small transactions."""
        place = self._catalog.place(topic, partition)
        # The start moves first: whoever reads below it learns so, however far the deletion has come.
        with self._table(place), self._file.writing() as connection:
            before = min(before, place.end(connection))
            connection.execute(
                "UPDATE partitions SET start = max(start, ?) WHERE id = ?", (before, place.id)
            )
        delete = (
            f"DELETE FROM {table(place.id)} WHERE record_offset IN (SELECT record_offset "  # noqa: S608 - an integer of ours
            f"FROM {table(place.id)} WHERE record_offset < ? ORDER BY record_offset LIMIT {_TRIM_RECORDS})"
        )
        deleted = _TRIM_RECORDS
        while deleted == _TRIM_RECORDS:
            with self._table(place), self._file.writing() as connection:
                deleted = connection.execute(delete, (before,)).rowcount

    def stretches(self, topic: str, partition: int, count: int = SAMPLES) -> list[Stretch]:
        """What evenly spread records of a partition hold; values are not read."""
        place = self._catalog.place(topic, partition)
        with self._table(place), self._file.reading() as connection:
            return stretches(connection, place, count)

    def offset_at(self, topic: str, partition: int, time_ns: int) -> int:
        """The first offset whose record was appended at or after a time; the end where none was."""
        place = self._catalog.place(topic, partition)
        with self._table(place), self._file.reading() as connection:
            return offset_at(connection, place, time_ns)

    def give_back(self) -> int:
        """Give free pages back to the file system, in several small transactions; how many bytes."""
        with self._file.reading() as connection:
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
            (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
            # Of a file of an earlier version another one.
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        # A file of an earlier version keeps them for the appends to come.
        left = free if mode == _INCREMENTAL else 0
        given = 0
        while left > 0:
            with self._file.writing() as connection:
                connection.execute(
                    f"PRAGMA incremental_vacuum({_VACUUM_BYTES // page_bytes})"
                ).fetchall()
                (now,) = connection.execute("PRAGMA freelist_count").fetchone()
            given += max(0, left - now)
            left = now if now < left else 0
        return int(given * page_bytes)

    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records."""
        with self._file.writing() as connection:
            self._catalog.delete(connection, name)
        self._catalog.reload()

    def close(self) -> None:
        """Close this process's connections."""
        self._file.close()

    def _collect(
        self,
        connection: sqlite3.Connection,
        place: Place,
        offset: int,
        max_bytes: int,
        records: list[Record],
    ) -> None:
        """Add records up to ``max_bytes``; what was added before a bad one stays."""
        size = 0
        query = select_statement(place.id, _FROM_OFFSET)
        # Closed at once, for an open cursor holds its moment of the log, and no checkpoint passes it.
        with closing(connection.execute(query, (offset, place.id))) as cursor:
            for row in cursor:
                if row[0] != offset + len(records):
                    return  # below the start, or lost: a read that begins here says which
                size += len(row[5] or b"") + len(row[3])
                if records and size > max_bytes:
                    return
                records.append(to_record(place.id, place.topic, place.partition, row))

    def _collect_one(
        self, connection: sqlite3.Connection, place: Place, offset: int, records: list[Record]
    ) -> bool:
        """Add the record of an offset if it is whole.

        Python's cursor is a row ahead: with the first row that cannot be read it loses the one before.
        """
        query = select_statement(place.id, "WHERE record_offset = ?")
        try:
            row = connection.execute(query, (offset,)).fetchone()
            if row is not None:
                records.append(to_record(place.id, place.topic, place.partition, row))
        except (ChecksumError, sqlite3.DatabaseError):
            return False
        return row is not None

    def _check_position(self, connection: sqlite3.Connection, place: Place, offset: int) -> None:
        """Raise where nothing was read at an offset for another reason than that it is the end."""
        connection.execute("BEGIN")  # one moment for both
        try:
            start, end = place.bounds(connection)
            (first,) = connection.execute(
                f"SELECT min(record_offset) FROM {table(place.id)} WHERE record_offset >= ?",  # noqa: S608 - an integer of ours
                (offset,),
            ).fetchone()
        finally:
            connection.execute("COMMIT")
        if offset < start or offset > end:
            why = "older ones were trimmed" if offset < start else "it was repaired, or made anew"
            raise TruncatedError(
                f"{place} in {self.path}: offset {offset} was asked for, the log holds {start} to "
                f"{end - 1}: {why}"
            )
        if first is not None and first > offset:
            raise self._damaged(place, offset, f"offsets {offset} to {first - 1} are missing")

    def _damaged(self, place: Place, offset: int, why: object) -> CorruptLogError:
        """The error for a record that cannot be given as it was appended."""
        return CorruptLogError(
            f"log {self.path}: {place} is damaged at offset {offset} ({why}); the last good offset is "
            f"{offset - 1}. Stop every program that uses the log, then `tapeflow topics repair` cuts the "
            "partition there and says what was removed"
        )

    @contextmanager
    def _table(self, place: Place) -> Iterator[None]:
        """Name the partition in what goes wrong with its table."""
        try:
            yield
        except CorruptLogError:
            raise
        except (LogError, sqlite3.OperationalError) as error:
            if "no such table" not in str(error):
                raise
            self._catalog.reload()
            raise UnknownTopicError(f"{place} in {self.path}: the topic was deleted") from error


def path_of(url: str) -> Path:
    """The file that a URL names; a relative path is one from the working directory.

    Raises
    ------
    LogError
        Where it names none.
    """
    if not url.startswith(_PREFIX) or len(url) == len(_PREFIX):
        raise LogError(
            f"log URL {url!r}: sqlite:/// and a path were needed, as in sqlite:///data/log.db "
            "(relative) or sqlite:////var/lib/tapeflow/log.db"
        )
    return Path(url.removeprefix(_PREFIX)).absolute()
