"""chDB, ClickHouse in this process: statements in, bytes in a ClickHouse format out. No HTTP here.

chDB lets one process hold its files, and one path be open in a process; within it, each connection is a
session of its own (settings, database, temporary tables), and queries of several run at once.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from connectors.clickhouse_statement import InsertHead, StatementError

# What chDB puts before the words that say what happened, once or twice.
_WRAPPING = re.compile(r"\A.*?(?:Code: \d+\. DB::Exception: )*(?=Code: \d+\.)", re.DOTALL)
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What chDB streams as blocks that make one whole when they are joined; others have a head or a foot.
STREAMED_FORMATS = frozenset({"Native", "TabSeparated", "TSV", "CSV", "RowBinary", "JSONEachRow"})


class StoreError(RuntimeError):
    """The store cannot be opened or reached; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave, whole."""

    body: bytes
    read_rows: int
    read_bytes: int
    result_rows: int
    written_rows: int
    elapsed_ns: int


class Session:
    """One connection: settings, database and temporary tables are its own. One statement at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._applied: dict[str, str] = {}
        self._parameters: dict[str, str] = {}
        self._database = "default"

    def use(self, database: str) -> None:
        """Make unqualified table names mean this database."""
        if database != self._database:
            self.run(f"USE `{database.replace('`', '``')}`".encode(), "TSV")
            self._database = database

    def apply(self, settings: Mapping[str, str]) -> None:
        """Let exactly these settings hold, besides those that a SET statement of the session made.

        Raises
        ------
        StatementError
            For a setting that ClickHouse does not know or a value it cannot take.
        """
        for name in settings:
            if not _SETTING_NAME.fullmatch(name):
                raise StatementError(
                    f"Code: 115. DB::Exception: Unknown setting '{name}'. (UNKNOWN_SETTING)"
                )
        gone = [f"{name} = DEFAULT" for name in self._applied if name not in settings]
        new = [
            f"{name} = {quoted(value)}"
            for name, value in settings.items()
            if self._applied.get(name) != value
        ]
        if gone or new:
            self.run(f"SET {', '.join(gone + new)}".encode(), "TSV")
        self._applied = dict(settings)

    def restrict(self, roles: Iterable[str], settings: Mapping[str, str]) -> None:
        """Leave a session these roles' rights only, and settings that its statements cannot change.

        Parameters
        ----------
        roles : iterable of str
            Of `connectors.chdb_roles`; none for a statement that reads no table of ours.
        settings : mapping of str to str
            The last one may be ``readonly``.
        """
        self.run(f"SET ROLE {', '.join(roles) or 'NONE'}".encode(), "TSV")
        self.apply(settings)

    def bind(self, parameters: Mapping[str, str]) -> None:
        """Let these be the values of ``{name:Type}`` in the next statement, escaped as in TSV."""
        self._parameters = dict(parameters)

    def run(self, statement: bytes, output: str) -> Answer:
        """Run a statement and give its whole result.

        Parameters
        ----------
        statement : bytes
            One statement; its own FORMAT goes before ``output``.
        output : str
            ClickHouse format of the result.
        """
        try:
            result = self._connection.query(statement, output, self._parameters)
        except _chdb().ChdbError as error:
            raise _refused(error) from None
        return Answer(
            body=result.bytes() or b"",
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            result_rows=result.rows_read(),
            written_rows=result.rows_written(),
            elapsed_ns=int(result.elapsed() * 1e9),
        )

    def stream(
        self, statement: bytes, output: str, read: Callable[[int], None] | None = None
    ) -> Iterator[bytes]:
        """Run a query and give its result block by block, in one of `STREAMED_FORMATS`.

        Parameters
        ----------
        statement, output : bytes, str
            As `run` takes them.
        read : callable, optional
            Told the rows read so far, with each block.
        """
        try:
            with self._connection.send_query(statement, output, self._parameters) as result:
                for block in result:
                    if read is not None:
                        read(block.storage_rows_read())
                    yield block.bytes()
        except _chdb().ChdbError as error:
            raise _refused(error) from None

    def insert(self, head: InsertHead, data_fd: int, compression: str = "none") -> Answer:
        """Insert the data of a file.

        Parameters
        ----------
        head : InsertHead
            The statement.
        data_fd : int
            An open (memory) file with the data in ``head.format``.
        compression : str
            Of the file: none, gzip, deflate, br, xz, zstd, lz4 or bz2.
        """
        # On lines of their own: the parts before may end in a comment.
        statement = b"%b\nFROM INFILE '/proc/self/fd/%d' COMPRESSION %b\n%b\nFORMAT %b" % (
            head.target,
            data_fd,
            quoted(compression).encode(),
            head.settings,
            head.format.encode(),
        )
        return self.run(statement, "TSV")

    def close(self) -> None:
        """End the session; its temporary tables are gone."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class Engine:
    """chDB at a path; made once a process.

    Parameters
    ----------
    path : Path
        Folder of chDB's files; made if it is not there.

    Raises
    ------
    StoreError
        Where another process holds the files (its number is named), or they cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        # It knows the views by parsing them: only who opens the files needs that.
        from connectors.chdb_roles import write_access  # noqa: PLC0415

        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            config = write_access(path)
            self._root = _chdb().connect(f"{path}?config-file={quote(str(config))}")
        except (RuntimeError, OSError) as error:
            raise StoreError(_cannot_open(path, error)) from error
        with self.session() as session:
            self.timezone = session.run(b"SELECT timezone()", "TSV").body.decode().strip()

    def session(self) -> Session:
        """A new session; cheap (half a millisecond), so that a request may have its own."""
        return Session(_chdb().connect(str(self.path)))

    def close(self) -> None:
        """Give the files back."""
        self._root.close()


def quoted(text: str) -> str:
    """A string literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _chdb() -> Any:
    # Its library takes 200 MB: a program that only speaks to a running store does not load it.
    import chdb  # noqa: PLC0415

    return chdb


def _refused(error: Exception) -> StatementError:
    return StatementError(_WRAPPING.sub("", str(error), count=1).rstrip())


def _cannot_open(path: Path, error: BaseException) -> str:
    text = str(error)
    if "already initialized with path" in text:
        return f"store {path}: this process has another store open, and chDB allows one ({text})"
    if "Cannot lock file" in text or "Error initializing EmbeddedServer" in text:
        holder = _holder(path)
        if holder is not None:
            return (
                f"store {path}: process {holder} holds chDB's files; stop it, or reach it by its "
                f"address in {path / 'store.json'}"
            )
    return f"store {path}: chDB cannot open its files: {text}"


def _holder(path: Path) -> int | None:
    try:
        found = re.search(r"PID: (\d+)", (path / "status").read_text())
    except OSError:
        return None
    if found is None or int(found.group(1)) == os.getpid():
        return None
    return int(found.group(1))
