"""Verbs of the embedded store's users: store users add, list, drop, passwd, guest."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from serving.settings import SettingsError
from serving.settings_sources import load_settings

if TYPE_CHECKING:
    from connectors.store_users import StoreUser, StoreUsers

Name = Annotated[str, typer.Argument(help="Name of the user.")]
Key = Annotated[
    bool, typer.Option("--key", help="Make a long random key instead, and print it once.")
]
Stdin = Annotated[
    bool, typer.Option("--password-stdin", help="Take the password from standard input.")
]


def users_app() -> typer.Typer:
    """The verbs, for `tapeflow store users`."""
    app = typer.Typer(no_args_is_help=True, help="Who may query the embedded store, and how much.")
    app.command("add")(add)
    app.command("list")(list_)
    app.command("drop")(drop)
    app.command("passwd")(passwd)
    app.command("guest")(guest)
    return app


def add(
    name: Name,
    *,
    role: Annotated[
        str,
        typer.Option(
            help="quant (reads market data), compliance (reads all), lander (also writes rows) or admin."
        ),
    ] = "quant",
    topics: Annotated[
        list[str] | None,
        typer.Option(
            "--topic", help="A topic that may be read beyond the role's; may be repeated."
        ),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="NAME=NUMBER",
            help="A limit such as seconds=10, or a quota such as quota.queries=1000; may be repeated.",
        ),
    ] = None,
    key: Key = False,
    password_stdin: Stdin = False,
) -> None:
    """Add a user of the store's HTTP protocol."""
    from connectors.chdb_engine import StoreError
    from connectors.store_users import StoreRole, StoreUser, with_changes

    users = _users()
    if users.get(name) is not None:
        raise StoreError(f"store: there is a user {name!r}; drop it first, or say `passwd`")
    if role not in tuple(StoreRole):
        raise typer.BadParameter(f"--role {role}: it must be one of {', '.join(StoreRole)}")
    user = with_changes(
        StoreUser(name=name, role=StoreRole(role), topics=frozenset(topics or ())),
        dict(_change(text) for text in limits or ()),
    )
    _give_secret(users, user.name, key=key, password_stdin=password_stdin, user=user)


def list_(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON object a user.")] = False
) -> None:
    """List the users, with what differs from their role's limits."""
    import orjson

    from connectors.store_users import GUEST, described

    users = _users()
    found = [described(user) for user in users.all().values()]
    if users.guest:
        found.insert(
            0, {"name": GUEST, "role": "quant", "by": "no password, from this machine only"}
        )
    for one in found:
        if json:
            typer.echo(orjson.dumps(one).decode())
        else:
            typer.echo("  ".join(str(value) for value in one.values() if value))


def drop(name: Name) -> None:
    """Remove a user; a running store refuses it from the next request on."""
    _users().drop(name)


def passwd(name: Name, *, key: Key = False, password_stdin: Stdin = False) -> None:
    """Give a user another password or key."""
    from connectors.chdb_engine import StoreError

    users = _users()
    if users.get(name) is None:
        raise StoreError(f"store: there is no user {name!r}")
    _give_secret(users, name, key=key, password_stdin=password_stdin)


def guest(
    who: Annotated[
        str,
        typer.Argument(metavar="on|off", help="Whether market data is read without a password."),
    ],
) -> None:
    """Let the user `default` read market data without a password from this machine, or not."""
    if who not in {"on", "off"}:
        raise typer.BadParameter(f"{who}: it must be on or off")
    _users().let_guest(in_=who == "on")


def _users() -> "StoreUsers":
    from connectors.chdb_address import store_path
    from connectors.store_users import StoreUsers

    settings = load_settings()
    if not settings.store.startswith("chdb:"):
        raise SettingsError(
            f"store = {settings.store!r} is a server elsewhere; its users are made there (CREATE USER)"
        )
    return StoreUsers(store_path(settings.store))


def _give_secret(
    users: "StoreUsers",
    name: str,
    *,
    key: bool,
    password_stdin: bool,
    user: "StoreUser | None" = None,
) -> None:
    from dataclasses import replace

    from connectors.store_key import new_key
    from connectors.store_users import hash_of_key, hash_of_password

    user = user or users.all()[name]
    if key:
        made = new_key()
        users.put(replace(user, secret=hash_of_key(made)))
        typer.echo(made)
        return
    password = (
        sys.stdin.readline().rstrip("\n")
        if password_stdin
        else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    users.put(replace(user, secret=hash_of_password(password)))


def _change(text: str) -> tuple[str, int]:
    name, equals, number = text.partition("=")
    if not equals or not number.isdigit():
        raise typer.BadParameter(f"--limit {text}: it must be like seconds=10")
    return name, int(number)
