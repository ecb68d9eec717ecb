"""Verbs of the API: serve, users, audit-log."""

import sys
from typing import Annotated

import typer

from serving.settings_sources import load_settings

_users = typer.Typer(
    help="Users of the API: who they are, and how they get in.", no_args_is_help=True
)
_audit = typer.Typer(help="The audit log: who did what.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The user.")]
_Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help="trader, quant, compliance or admin; may be repeated."),
]
_Sees = Annotated[
    list[str] | None,
    typer.Option("--sees", metavar="ACCOUNT", help="May see the account; may be repeated."),
]
_Trades = Annotated[
    list[str] | None,
    typer.Option("--trades", metavar="ACCOUNT", help="May see and trade it; may be repeated."),
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(serve)
    _users.command("list")(list_users)
    _users.command("add")(add_user)
    _users.command("change")(change_user)
    _users.command("reset")(reset_user)
    _users.command("unlock")(unlock_user)
    app.add_typer(_users, name="users")
    _audit.command("verify")(verify_audit_log)
    app.add_typer(_audit, name="audit-log")


def serve(
    *,
    url: Annotated[
        bool, typer.Option("--url", help="Print where the running API is, and end.")
    ] = False,
) -> None:
    """Serve the API and the dashboard, until Ctrl-C."""
    if url:
        _print_url()
        return
    import structlog

    from connectors.metrics import serve as serve_metrics
    from serving.api.server import serve_api
    from serving.logs import configure_logs, configure_server_logs
    from serving.stopping import is_supervised, stop_event
    from serving.user_changes import first_admin

    settings = load_settings()
    configure_logs()
    configure_server_logs()
    stop = stop_event()
    serve_metrics(settings.metrics, "api")
    # Under a supervisor, what is printed goes to a file: `up` has told the token itself.
    if not is_supervised():
        for line in first_admin(settings):
            typer.echo(line)
    logger = structlog.get_logger("api")
    serve_api(settings, stop, ready=lambda address: logger.info("api ready", url=address.url))
    logger.info("api stopped")


def _print_url() -> None:
    from serving.api.address import ApiServerError, running_api

    home = load_settings().home
    address = running_api(home)
    if address is None:
        raise ApiServerError(
            f"no API runs on {home}; start it: `tapeflow up`, or `tapeflow serve` alone"
        )
    typer.echo(address.url)


def list_users(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Print all users, with roles and accounts."""
    from serving.user_changes import print_users

    print_users(load_settings(), as_json=json, out=sys.stdout)


def add_user(
    name: _Name, *, role: _Roles = None, sees: _Sees = None, trades: _Trades = None
) -> None:
    """Make a user, and print a one-time token with which the user sets a password."""
    from serving.user_changes import accounts_of, change_users, roles_of, said

    roles, accounts = roles_of(role or []), accounts_of(sees or [], trades or [])
    token = change_users(
        load_settings(),
        "user_new",
        f"{name}: {said(roles, accounts)}",
        lambda users: users.people.create(name, roles, accounts),
    )
    typer.echo(token)


def change_user(
    name: _Name,
    *,
    role: _Roles = None,
    sees: _Sees = None,
    trades: _Trades = None,
    active: Annotated[
        bool | None,
        typer.Option("--active/--inactive", help="Whether the user may sign in at all."),
    ] = None,
) -> None:
    """Change a user's roles, accounts (all of them are given anew), or whether the user is active."""
    from serving.user_changes import accounts_of, change_users, roles_of, said

    roles = None if role is None else roles_of(role)
    given = sees is not None or trades is not None
    accounts = accounts_of(sees or [], trades or []) if given else None
    words = said(roles, accounts, active=active)
    if not words:
        raise typer.BadParameter(
            "say what to change: --role, --sees, --trades, --active or --inactive"
        )
    change_users(
        load_settings(),
        "user_change",
        f"{name}: {words}",
        lambda users: users.people.change(name, roles=roles, accounts=accounts, active=active),
    )


def reset_user(
    name: _Name,
    *,
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help="Remove the second factor, too.")
    ] = False,
) -> None:
    """Take a user's password away, end all sessions and keys, and print a new one-time token."""
    from serving.user_changes import change_users

    token = change_users(
        load_settings(),
        "user_reset",
        name,
        lambda users: users.people.reset(name, second_factor=second_factor),
    )
    typer.echo(token)


def unlock_user(name: _Name) -> None:
    """Forget a user's failed sign-ins."""
    from serving.user_changes import change_users

    change_users(load_settings(), "user_unlock", name, lambda users: users.people.unlock(name))


def verify_audit_log(
    *,
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER:HASH",
            help="A head that was kept outside, as this verb prints it; may be repeated.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the audit log's chain; exit code 1 where a row was changed, taken out, put in or moved."""
    from connectors.log import open_log
    from serving.audit_verification import run_verification

    with open_log(load_settings().log) as log:
        code = run_verification(log, heads=head or [], as_json=json, out=sys.stdout)
    raise typer.Exit(code)
