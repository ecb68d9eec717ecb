"""The tables of the users database.

Times are ns since 1970 UTC. Secrets that need only be compared are there as hashes; a second factor's secret, which
must be read again, is sealed with the key file (`serving.users.key_file`).
"""

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

NAME_MAX = 64
_HASH = 64  # SHA-256, hexadecimal


class Table(DeclarativeBase):
    """A table of the users database."""

    type_annotation_map = {int: BigInteger}  # noqa: RUF012 - SQLAlchemy reads it from the class


class SchemaVersion(Table):
    """One row: of which version the tables are."""

    __tablename__ = "schema_version"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class User(Table):
    """A user."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    one_time_hash: Mapped[str | None] = mapped_column(String(_HASH))
    one_time_expires: Mapped[int | None]
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_confirmed: Mapped[bool]
    # A code is good once: the last time step for which one was taken.
    totp_step: Mapped[int]
    active: Mapped[bool]
    created: Mapped[int]

    roles: Mapped[list["UserRole"]] = relationship(cascade="all, delete-orphan", lazy="selectin")
    accounts: Mapped[list["UserAccount"]] = relationship(
        cascade="all, delete-orphan", lazy="selectin"
    )


class UserRole(Table):
    """A role of a user."""

    __tablename__ = "user_roles"

    user: Mapped[str] = mapped_column(ForeignKey("users.name"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class UserAccount(Table):
    """An account that a user may see, and perhaps trade."""

    __tablename__ = "user_accounts"

    user: Mapped[str] = mapped_column(ForeignKey("users.name"), primary_key=True)
    account: Mapped[str] = mapped_column(String(200), primary_key=True)
    trade: Mapped[bool]


class RecoveryCode(Table):
    """A code that stands in for the second factor, once."""

    __tablename__ = "recovery_codes"

    hash: Mapped[str] = mapped_column(String(_HASH), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)


class SignInSession(Table):
    """A device that somebody has signed in on: a family of refresh tokens, or a dashboard's cookie."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    cookie_hash: Mapped[str | None] = mapped_column(String(_HASH), unique=True)
    created: Mapped[int]
    seen: Mapped[int]
    expires: Mapped[int]
    ended: Mapped[int | None]
    origin: Mapped[str] = mapped_column(String(100))
    device: Mapped[str] = mapped_column(String(200))


class RefreshToken(Table):
    """A refresh token, used or not; a used one is kept so that its second use is seen."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[str] = mapped_column(String(_HASH), primary_key=True)
    session: Mapped[str] = mapped_column(ForeignKey("sessions.id"), index=True)
    used: Mapped[int | None]


class ApiKey(Table):
    """A key of a user's programs."""

    __tablename__ = "api_keys"

    prefix: Mapped[str] = mapped_column(String(16), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    secret_hash: Mapped[str] = mapped_column(String(_HASH))
    # Words with spaces between them.
    scopes: Mapped[str] = mapped_column(String(1000))
    rate: Mapped[float | None]
    created: Mapped[int]
    expires: Mapped[int | None]
    revoked: Mapped[int | None]


class Attempts(Table):
    """Failed sign-ins in a row under a name, whether there is such a user or not."""

    __tablename__ = "attempts"

    name: Mapped[str] = mapped_column(String(NAME_MAX), primary_key=True)
    count: Mapped[int]
    last: Mapped[int] = mapped_column(index=True)
    locked_until: Mapped[int]
