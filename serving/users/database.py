"""Opens the users database: SQLite by default, PostgreSQL by URL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from serving.users.errors import UsersError
from serving.users.models import SchemaVersion, Table
from serving.users.upgrades import schema_version, upgrade

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_BUSY_S = 10
# Of PostgreSQL's advisory lock while the tables are made: "tapeflow" as a number.
_LOCK = 0x7461706566


class UsersDatabaseError(RuntimeError):
    """The users database cannot be used; the message says where and how to mend it, without a password."""


class Database:
    """The users database.

    Parameters
    ----------
    url : str
        ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``; tables are made where they are
        not there, and those of an older version are brought up to this one's.

    Raises
    ------
    UsersDatabaseError
        Where it does not answer, or is of a newer version.
    """

    def __init__(self, url: str) -> None:
        self.where = _told(url)
        with self._translated():
            self._engine = _engine(url)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        self._writes = sessionmaker(
            self._engine.execution_options(writes=True), expire_on_commit=False
        )
        try:
            with self._translated():
                self._create()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with self._translated(), self._sessions() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed at its end, on disk, or undone where something is raised."""
        with self._translated(), self._writes.begin() as session:
            yield session

    def ping(self) -> None:
        """Raise where it does not answer."""
        with self.reading() as session:
            session.execute(select(1))

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def _create(self) -> None:
        known = schema_version()
        with self._engine.execution_options(writes=True).begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            if not inspect(connection).has_table(SchemaVersion.__tablename__):
                Table.metadata.create_all(connection)
                connection.execute(insert(SchemaVersion).values(version=known))
            found = connection.execute(select(SchemaVersion.version)).scalar_one()
            if found < known:
                upgrade(connection, found)
                connection.execute(update(SchemaVersion).values(version=known))
        if found > known:
            raise UsersDatabaseError(
                f"users database {self.where}: its tables are of version {found}, this program knows "
                f"{known}: run a version of Tapeflow as new as the one that made it or upgraded it"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLAlchemy's errors name statements and their values: none of that is told."""
        try:
            yield
        except (OperationalError, ArgumentError, ImportError) as error:
            cause = getattr(error, "orig", None)
            # SQLite's name of an error, such as SQLITE_FULL, has no value in it.
            why = getattr(cause, "sqlite_errorname", type(cause or error).__name__)
            raise UsersDatabaseError(
                f"users database {self.where}: it does not answer ({why}); is it there, may this user use it, "
                "and has its disk room?"
            ) from None
        except IntegrityError:
            raise UsersError(
                409, "conflict", "somebody else has just changed the same; look, and try again"
            ) from None
        except SQLAlchemyError as error:
            raise UsersDatabaseError(
                f"users database {self.where}: {type(error).__name__}"
            ) from None


def _engine(url: str) -> Engine:
    if url.startswith(_POSTGRESQL):
        return create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=5,
            hide_parameters=True,
        )
    path = Path(url.removeprefix(_SQLITE)).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Its mode first: the file has hashes of passwords.
    path.touch(mode=0o600)
    engine = create_engine(f"{_SQLITE}{path}", hide_parameters=True)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: object) -> None:
    # Transactions are begun below: Python's sqlite3 would begin them late, as readers that cannot become writers.
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_S * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _told(url: str) -> str:
    """The URL without its password."""
    if not url.startswith((_SQLITE, _POSTGRESQL)):
        raise UsersDatabaseError("the setting users must begin with sqlite:/// or postgresql://")
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        raise UsersDatabaseError("the setting users is no URL") from None
