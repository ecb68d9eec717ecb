"""Changes of users from the command line: by whoever can read the home, and in the audit log as such."""

import getpass
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO, TypeVar

import orjson
from rich.console import Console
from rich.table import Table

from connectors.audit_log import AuditEntry, AuditWriter
from connectors.log import open_log
from connectors.topics import create_topics
from serving.api.scopes import Role
from serving.settings import Settings, SettingsError, nearest
from serving.users.errors import UsersError
from serving.users.people import FIRST_ADMIN, Person
from serving.users.users import Users

T = TypeVar("T")

_PAGE = 1_000
_NO_PASSWORD = f"{FIRST_ADMIN} has no password yet; `tapeflow users reset {FIRST_ADMIN}` prints a new one-time token"


def first_admin(settings: Settings) -> list[str]:
    """Make the first admin where there are no users yet; what a person is to be told of it, once."""
    users = Users(settings)
    try:
        admin = users.people.first_admin()
        if admin is None:
            person = users.people.find(FIRST_ADMIN)
            if person is None or person.has_password:
                return []
            return [_NO_PASSWORD]
    finally:
        users.close()
    _audited(settings, "user_new", f"{FIRST_ADMIN}: roles admin", "done", None)
    return [
        f"first sign-in: user {FIRST_ADMIN}, one-time token {admin}",
        "It is told only now, and sets the password at the first sign-in.",
    ]


def change_users(settings: Settings, action: str, subject: str, change: Callable[[Users], T]) -> T:
    """Change something about users, and write it to the audit log.

    Raises
    ------
    UsersError
        Where it is refused; the audit log has that, too.
    """
    users = Users(settings)
    try:
        result = change(users)
    except UsersError as error:
        _audited(settings, action, subject, "refused", error.detail)
        raise
    finally:
        users.close()
    _audited(settings, action, subject, "done", None)
    return result


def print_users(settings: Settings, *, as_json: bool, out: TextIO) -> None:
    """Print all users."""
    users = Users(settings)
    try:
        people = list(_all(users))
    finally:
        users.close()
    if as_json:
        rows = [
            {
                "name": one.name,
                "roles": list(one.roles),
                "accounts": one.accounts,
                "active": one.active,
                "second_factor": one.second_factor,
                "has_password": one.has_password,
            }
            for one in people
        ]
        out.write(orjson.dumps({"users": rows}).decode() + "\n")
        return
    table = Table("user", "roles", "accounts", "second factor", "state", box=None)
    for one in people:
        accounts = ", ".join(
            f"{name} ({'trades' if trade else 'sees'})" for name, trade in one.accounts.items()
        )
        state = "active" if one.has_password else "no password yet"
        table.add_row(
            one.name,
            " ".join(one.roles),
            accounts,
            "yes" if one.second_factor else "no",
            state if one.active else "inactive",
        )
    Console(file=out, highlight=False).print(table)


def roles_of(words: Sequence[str]) -> list[Role]:
    """Roles by name.

    Raises
    ------
    SettingsError
        For a word that is none, with the nearest.
    """
    known = [role.value for role in Role]
    for word in words:
        if word not in known:
            raise SettingsError(f"no role {word!r}{nearest(word, known)}")
    return [Role(word) for word in words]


def accounts_of(sees: Iterable[str], trades: Iterable[str]) -> dict[str, bool]:
    """Accounts, and whether they may be traded."""
    return {**dict.fromkeys(sees, False), **dict.fromkeys(trades, True)}


def said(
    roles: Iterable[Role] | None, accounts: Mapping[str, bool] | None, *, active: bool | None = None
) -> str:
    """A change in words, for the audit log; empty for none."""
    words = []
    if roles is not None:
        words.append(f"roles {' '.join(sorted(roles)) or 'none'}")
    if accounts is not None:
        named = (f"{name} ({'trade' if trade else 'see'})" for name, trade in accounts.items())
        words.append(f"accounts {', '.join(named) or 'none'}")
    if active is not None:
        words.append("active" if active else "inactive")
    return ", ".join(words)


def _all(users: Users) -> Iterable[Person]:
    after = ""
    while page := users.people.page(after=after, limit=_PAGE):
        yield from page
        after = page[-1].name


def _audited(
    settings: Settings, action: str, subject: str, result: str, reason: str | None
) -> None:
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
        writer = AuditWriter(log)
        entry = AuditEntry(
            # Nobody of the users: whoever may write the home's files.
            actor=f"{getpass.getuser()} (command line)",
            ts_event=time.time_ns(),
            action=action,
            subject=subject,
            result=result,
            reason=reason,
        )
        writer.append([entry])
        writer.close()
