"""Mends a damaged SQLite log: each partition is cut before its first record that cannot be read.

The progress of a flow is cut behind its last such record, where it can be read from there on and the flow can start
with that: it is its oldest then that goes, as retention lets go of it. Cut before the damage, all that the flow has
made since would have to go, and what others have committed in that time.
"""

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.control import progress_topic
from connectors.file_lock import FileLock
from connectors.log import CorruptLogError, LogError, open_log
from connectors.log_holds import can_start
from connectors.sqlite_catalog import SCHEMA
from connectors.sqlite_file import connect, create_tables, locks_folder
from connectors.sqlite_log import path_of
from connectors.sqlite_mended import SIDE_FILES, put_mended
from connectors.sqlite_rows import (
    Row,
    create_statement,
    insert_statement,
    is_whole,
    select_statement,
    table,
)

_PROGRESS = progress_topic("")
_COPY_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What a repair took out of a log.

    Parameters
    ----------
    topic : str
        Topic; empty where the writers' numbers were lost.
    partition : int
        Partition.
    first : int
        First offset removed; the partition goes on from there.
    last : int or None
        Last offset that was there; None where the damage hides it.
    reason : str
        What was wrong with the first; of a beginning, with the last.
    is_beginning : bool
        Whether these were the oldest, and the partition begins behind them now.
    """

    topic: str
    partition: int
    first: int
    last: int | None
    reason: str
    is_beginning: bool = False

    @property
    def records(self) -> int | None:
        """Count of records removed; None where it is not known."""
        return None if self.last is None else self.last - self.first + 1

    def __str__(self) -> str:
        if not self.topic:
            return (
                f"the writers' commit numbers were lost ({self.reason}): a flow that had committed must "
                "be run with --new-epoch"
            )
        if self.is_beginning:
            return (
                f"{self.topic}[{self.partition}]: removed its oldest offsets, {self.first} to {self.last}: "
                f"{self.reason}; the flow goes on as if nothing had been, and proofs begin behind them"
            )
        what = (
            f"all offsets from {self.first} on, an unknown count"
            if self.last is None
            else f"offsets {self.first} to {self.last}, {self.records} records"
        )
        return f"{self.topic}[{self.partition}]: removed {what}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A copy of a log with all that can be read of it, to be changed and put in its place.

    Parameters
    ----------
    url : str
        Of the copy.
    removed : list of Removed
        What the damage has taken.
    damaged : bool
        Whether there is any damage, in records or elsewhere.
    """

    url: str
    removed: list[Removed]
    damaged: bool


@contextmanager
def drafted(url: str) -> Iterator[Draft]:
    """A copy of a log that no program has open, cut before each partition's first bad record.

    The log is held meanwhile, and the copy is gone at the end unless `put_in_place` was called.

    Raises
    ------
    LogError
        Where the log is not there or in use.
    CorruptLogError
        Where the list of topics itself cannot be read.
    """
    path = path_of(url)
    if not path.is_file():
        raise LogError(f"log {path}: there is no such file to repair")
    locks_folder(path).mkdir(exist_ok=True)
    use = FileLock(locks_folder(path) / "use")
    copy = path.with_name(path.name + ".repaired")
    try:
        if not use.try_acquire():
            raise LogError(f"log {path}: a program has it open: stop it, then repair again")
        draft = _draft(path, copy, ())
        stuck = _stuck(draft)
        yield _draft(path, copy, stuck) if stuck else draft
    finally:
        _remove(copy)
        use.close()


def put_in_place(url: str, draft: Draft) -> Path:
    """Let the copy be the log; the old file, byte for byte, and its write-ahead log get the suffix ``.corrupt``.

    Returns
    -------
    Path
        Where the old file is.
    """
    return put_mended(path_of(url), path_of(draft.url))


def repair(url: str) -> list[Removed]:
    """Cut each partition of a damaged log before its first bad record; the old file is kept.

    A log without damage is left as it is.

    Parameters
    ----------
    url : str
        Of a log that no program has open.

    Returns
    -------
    list of Removed
        What was removed; empty where nothing was.

    Raises
    ------
    LogError
        Where the log is not there or in use.
    CorruptLogError
        Where the list of topics itself cannot be read.
    """
    with drafted(url) as draft:
        if draft.damaged:
            put_in_place(url, draft)
        return draft.removed


def _draft(path: Path, copy: Path, stuck: Collection[tuple[str, int]]) -> Draft:
    """The copy; progress that the flow cannot start with without its beginning is cut at its end as well."""
    _remove(copy)
    with closing(_open_damaged(path)) as old:
        try:
            with closing(connect(copy)) as new:
                # A copy that a crash leaves half made is made again: it needs no journal.
                create_tables(new, SCHEMA, journal="OFF")
                removed = _copy(path, old, new, stuck)
                damaged = bool(removed) or not _is_sound(old)
                new.execute("PRAGMA journal_mode=WAL")
        except sqlite3.Error as error:
            raise LogError(
                f"log {path}: a copy of it, {copy.name} beside it, cannot be written ({error}): it takes as much "
                "room as the log, and the right to write there; nothing was changed"
            ) from error
    return Draft(url=f"sqlite:///{copy}", removed=removed, damaged=damaged)


def _remove(copy: Path) -> None:
    for suffix in ("", *SIDE_FILES):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    shutil.rmtree(locks_folder(copy), ignore_errors=True)


def _open_damaged(path: Path) -> sqlite3.Connection:
    """A connection that reads what it can and writes nothing, not even a checkpoint at its end."""
    old = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    # Without it SQLite refuses a file that is shorter than its header says.
    old.execute("PRAGMA writable_schema=ON")
    return old


def _stuck(draft: Draft) -> list[tuple[str, int]]:
    """Progress without its beginning that its flow cannot start with."""
    beginnings = [one for one in draft.removed if one.is_beginning]
    if not beginnings:
        return []
    with open_log(draft.url) as log:
        return [
            (one.topic, one.partition)
            for one in beginnings
            if not can_start(log, one.topic.removeprefix(_PROGRESS), one.partition)
        ]


def _copy(
    path: Path,
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    stuck: Collection[tuple[str, int]],
) -> list[Removed]:
    """Copy what is readable; returns what is not."""
    try:
        topics = old.execute("SELECT name, partitions, retention_ns, synced FROM topics").fetchall()
        partitions = old.execute("SELECT id, topic, partition, start FROM partitions").fetchall()
    except sqlite3.DatabaseError as error:
        raise CorruptLogError(
            f"log {path}: the list of topics cannot be read ({error}), so no record can be found, and "
            "the last good offset is not known; nothing was changed. Restore the file from a backup, or "
            "move it away and rebuild the log from the lake"
        ) from error
    new.executemany("INSERT INTO topics VALUES (?, ?, ?, ?)", topics)
    new.executemany(
        "INSERT INTO partitions (id, topic, partition, start) VALUES (?, ?, ?, ?)", partitions
    )
    removed = []
    for number, topic, partition, start in sorted(partitions, key=lambda row: row[1:3]):
        new.execute(create_statement(number))
        begin = start
        if topic.startswith(_PROGRESS) and (topic, partition) not in stuck:
            begin, why = _whole_from(old, number, start)
        if begin > start:
            new.execute("UPDATE partitions SET start = ? WHERE id = ?", (begin, number))
            removed.append(
                Removed(
                    topic=topic,
                    partition=partition,
                    first=start,
                    last=begin - 1,
                    reason=why,
                    is_beginning=True,
                )
            )
        cut = _copy_partition(old, new, number, begin)
        if cut is not None:
            first, last, reason = cut
            removed.append(
                Removed(topic=topic, partition=partition, first=first, last=last, reason=reason)
            )
    return removed + _copy_writers(old, new)


def _whole_from(old: sqlite3.Connection, number: int, start: int) -> tuple[int, str]:
    """From where on a partition can be read to its end, and why not from before; its start where its end cannot."""
    begin = why = None
    query = select_statement(number, "WHERE record_offset >= ? ORDER BY record_offset DESC")
    try:
        for row in old.execute(query, (start,)):
            if begin is not None and row[0] != begin - 1:
                break
            if not is_whole(number, row):
                why = f"the checksum of offset {row[0]} does not fit its bytes"
                break
            begin = row[0]
    except sqlite3.DatabaseError as error:
        why = str(error)
    if begin is None:
        return start, ""
    return begin, why or f"offset {begin - 1} is missing"


def _copy_partition(
    old: sqlite3.Connection, new: sqlite3.Connection, number: int, start: int
) -> tuple[int, int | None, str] | None:
    """Copy the readable prefix; returns first and last offset removed and why, or None."""
    rows: list[Row] = []
    size = 0
    reason = None
    offset = start
    insert = insert_statement(number)
    for found in _rows(old, number, start):
        if isinstance(found, str):
            reason = found
        elif found[0] != offset:
            reason = f"offset {offset} is missing"
        elif not is_whole(number, found):
            reason = f"the checksum of offset {offset} does not fit its bytes"
        if isinstance(found, str) or reason is not None:
            break
        rows.append(found)
        offset += 1
        size += len(found[5] or b"")
        if size > _COPY_BYTES:
            new.executemany(insert, rows)
            rows, size = [], 0
    new.executemany(insert, rows)
    if reason is None:
        return None
    return offset, _last(old, number, offset), reason


def _rows(old: sqlite3.Connection, number: int, start: int) -> Iterator[Row | str]:
    """The rows of a partition; at damage SQLite's word for it, and no more."""
    offset = start
    try:
        for row in old.execute(
            select_statement(number, "WHERE record_offset >= ? ORDER BY record_offset"), (start,)
        ):
            yield row
            offset = row[0] + 1
    except sqlite3.DatabaseError as error:
        # Python's cursor is a row ahead: the row before the bad one must be asked for alone.
        row = _row(old, number, offset)
        if row is not None:
            yield row
        yield str(error)


def _row(old: sqlite3.Connection, number: int, offset: int) -> Row | None:
    query = select_statement(number, "WHERE record_offset = ?")
    try:
        row: Row | None = old.execute(query, (offset,)).fetchone()
    except sqlite3.DatabaseError:
        return None
    return row


def _last(old: sqlite3.Connection, number: int, first: int) -> int | None:
    """The newest offset, where the right edge of the tree can still be read."""
    try:
        (last,) = old.execute(f"SELECT max(record_offset) FROM {table(number)}").fetchone()  # noqa: S608 - an integer of ours
    except sqlite3.DatabaseError:
        return None
    return None if last is None or last < first else int(last)


def _copy_writers(old: sqlite3.Connection, new: sqlite3.Connection) -> list[Removed]:
    try:
        writers = old.execute("SELECT name, number, generation FROM writers").fetchall()
    except sqlite3.DatabaseError as error:
        return [Removed(topic="", partition=0, first=0, last=None, reason=str(error))]
    new.executemany("INSERT INTO writers VALUES (?, ?, ?)", writers)
    return []


def _is_sound(old: sqlite3.Connection) -> bool:
    """Whether SQLite finds no fault outside of the records either, such as in the list of free pages."""
    try:
        return bool(old.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except sqlite3.DatabaseError:
        return False
