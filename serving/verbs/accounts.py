"""Verbs of accounts: account open, set, halt, resume, cash, list; action split, dividend, rename, spin-off, load, list."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from serving.settings_sources import load_settings

_accounts = typer.Typer(
    help="Accounts: who they are, what they may do, and their cash.", no_args_is_help=True
)
_actions = typer.Typer(
    help="Corporate actions: what companies do to their shares.", no_args_is_help=True
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The account.")]
_All = Annotated[str, typer.Argument(metavar="[NAME|*]", help="The account, or * for all of them.")]
_Type = Annotated[str | None, typer.Option("--type", help="cash, or margin: it may owe.")]
_Currency = Annotated[str | None, typer.Option(help="Currency in which it is kept.")]
_Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=NUMBER",
        help="leverage, max_order_quantity, max_order_notional, max_position_quantity, max_position_notional, "
        "max_gross_notional, price_collar, max_orders_per_second or duplicate_window_ms; none takes it away. "
        "May be repeated.",
    ),
]
_Restricted = Annotated[
    str | None, typer.Option(help="Symbols that may not be traded, with commas; empty for none.")
]
_Borrow = Annotated[
    str | None,
    typer.Option(help="Symbols that are sold short without a locate, with commas; empty for none."),
]
_SelfTrade = Annotated[
    bool | None,
    typer.Option("--self-trade/--no-self-trade", help="Whether its orders may meet each other."),
]
_User = Annotated[str | None, typer.Option(help="Who says so; by default, who runs this.")]
_At = Annotated[
    str,
    typer.Option("--at", metavar="TIME", help="Ex time, UTC: what was held before it is changed."),
]
_Symbol = Annotated[str, typer.Argument(metavar="SYMBOL")]
_Id = Annotated[
    str | None,
    typer.Option(
        "--id", help="Identifier; one that is known changes nothing. By default made of the terms."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    _accounts.command("open")(open_account)
    _accounts.command("set")(set_account)
    _accounts.command("halt")(halt)
    _accounts.command("resume")(resume)
    _accounts.command("cash")(cash)
    _accounts.command("list")(list_accounts)
    app.add_typer(_accounts, name="account")
    _actions.command("split")(split)
    _actions.command("dividend")(dividend)
    _actions.command("rename")(rename)
    _actions.command("spin-off")(spin_off)
    _actions.command("load")(load)
    _actions.command("list")(list_actions)
    app.add_typer(_actions, name="action")


def open_account(
    name: _Name,
    *,
    type_: _Type = None,
    currency: _Currency = None,
    deposit: Annotated[str | None, typer.Option(help="Cash to begin with.")] = None,
    limit: _Limits = None,
    restricted: _Restricted = None,
    easy_to_borrow: _Borrow = None,
    self_trade: _SelfTrade = None,
    user: _User = None,
) -> None:
    """Make an account; the same again changes nothing."""
    from serving.account_changes import accounts_of, amount_of

    values = _values(type_, currency, limit, restricted, easy_to_borrow, self_trade=self_trade)
    amount = None if deposit is None else amount_of(deposit)
    with accounts_of(load_settings(), user) as accounts:
        typer.echo(accounts.open(name, values, amount))


def set_account(
    name: _Name,
    *,
    type_: _Type = None,
    currency: _Currency = None,
    limit: _Limits = None,
    restricted: _Restricted = None,
    easy_to_borrow: _Borrow = None,
    self_trade: _SelfTrade = None,
    user: _User = None,
) -> None:
    """Change what an account may do; what is not named stays. Account * is all of them."""
    from serving.account_changes import accounts_of

    values = _values(type_, currency, limit, restricted, easy_to_borrow, self_trade=self_trade)
    if not values:
        raise typer.BadParameter("say what to change, such as --limit max_order_quantity=1000")
    with accounts_of(load_settings(), user) as accounts:
        typer.echo(accounts.change(name, values))


def halt(name: _All = "*", *, user: _User = None) -> None:
    """The kill switch: no new orders of an account, or of all."""
    from serving.account_changes import accounts_of

    with accounts_of(load_settings(), user) as accounts:
        typer.echo(accounts.change(name, {"halted": True}, action="account_halt"))


def resume(name: _All = "*", *, user: _User = None) -> None:
    """Let an account, or all, trade again."""
    from serving.account_changes import accounts_of

    with accounts_of(load_settings(), user) as accounts:
        typer.echo(accounts.change(name, {"halted": False}, action="account_resume"))


def cash(
    name: _Name,
    amount: Annotated[str, typer.Argument(help="What comes in; below zero goes out (after --).")],
    *,
    currency: Annotated[str | None, typer.Option(help="By default the account's.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="deposit, withdrawal, transfer, interest, dividend, fee, tax or adjustment."
        ),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option(
            "--id", help="Identifier; one that is known changes nothing. By default a new one."
        ),
    ] = None,
    user: _User = None,
) -> None:
    """Book cash into an account, or out of it."""
    from serving.account_changes import accounts_of, amount_of

    with accounts_of(load_settings(), user) as accounts:
        typer.echo(
            accounts.move_cash(
                name, amount_of(amount), currency=currency, kind=kind, movement_id=id_
            )
        )


def list_accounts(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Print all accounts as they stand."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    from serving.account_changes import accounts_of

    with accounts_of(load_settings(), None) as accounts:
        rows = list(accounts.newest().values())
    if json:
        typer.echo(orjson.dumps({"accounts": rows}, default=str).decode())
        return
    names = ("account", "type", "currency", "halted", "limits", "restricted", "user")
    table = Table(*names)
    for row in rows:
        limits = [
            f"{name} {_plain(row[name])}"
            for name in row
            if name.startswith(("max_", "leverage", "price_collar", "duplicate_"))
            and row[name] is not None
        ]
        halted = "HALTED" if row["halted"] else ""
        table.add_row(
            row["account"],
            row["type"],
            row["currency"],
            halted,
            ", ".join(limits),
            row["restricted"] or "",
            row["user"],
        )
    Console().print(table)


def split(
    symbol: _Symbol,
    new: Annotated[str, typer.Argument(help="So many new shares …")],
    old: Annotated[str, typer.Argument(help="… for so many old ones.")],
    *,
    at: _At,
    id_: _Id = None,
    user: _User = None,
) -> None:
    """A split: NEW shares for OLD ones, such as 2 for 1; a reverse split 1 for 10."""
    _tell("split", symbol, at, id_, user, numerator=new, denominator=old)


def dividend(
    symbol: _Symbol,
    amount: Annotated[str, typer.Argument(help="Cash a share.")],
    *,
    at: _At,
    currency: Annotated[str | None, typer.Option(help="By default that of the position.")] = None,
    id_: _Id = None,
    user: _User = None,
) -> None:
    """A dividend: paid to who is long, owed by who is short."""
    _tell("dividend", symbol, at, id_, user, amount=amount, currency=currency)


def rename(
    symbol: _Symbol,
    new_symbol: Annotated[str, typer.Argument(metavar="NEW_SYMBOL")],
    *,
    at: _At,
    id_: _Id = None,
    user: _User = None,
) -> None:
    """Another symbol for the same shares."""
    _tell("symbol_change", symbol, at, id_, user, new_symbol=new_symbol)


def spin_off(
    symbol: _Symbol,
    new_symbol: Annotated[str, typer.Argument(metavar="NEW_SYMBOL")],
    new: Annotated[str, typer.Argument(help="So many shares of the new symbol …")],
    old: Annotated[str, typer.Argument(help="… for so many old ones.")],
    *,
    at: _At,
    cost_share: Annotated[
        str, typer.Option(help="Share of the cost that goes to the new symbol, 0 to 1.")
    ],
    id_: _Id = None,
    user: _User = None,
) -> None:
    """Shares of a new company for those of an old one, with a share of their cost."""
    terms = {"numerator": new, "denominator": old, "cost_share": cost_share}
    _tell("spin_off", symbol, at, id_, user, new_symbol=new_symbol, **terms)


def load(
    path: Annotated[
        Path,
        typer.Argument(
            help="CSV with columns of corporate_actions: symbol, ts_event, action and its terms."
        ),
    ],
    *,
    user: _User = None,
) -> None:
    """Corporate actions of a CSV file; those that are known change nothing."""
    from serving.account_changes import accounts_of
    from serving.corporate_action_rows import read_actions

    with accounts_of(load_settings(), user) as accounts:
        typer.echo(accounts.act(read_actions(path)))


def list_actions(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Print all corporate actions, in order of ex time."""
    import orjson
    from rich.console import Console
    from rich.table import Table

    from serving.account_changes import accounts_of
    from serving.times import wall_text

    with accounts_of(load_settings(), None) as accounts:
        rows = accounts.actions()
    if json:
        typer.echo(orjson.dumps({"actions": rows}, default=str).decode())
        return
    table = Table("ex time (UTC)", "symbol", "action", "terms", "id")
    for row in rows:
        terms = [
            f"{name} {_plain(row[name])}"
            for name in (
                "numerator",
                "denominator",
                "amount",
                "currency",
                "new_symbol",
                "cost_share",
            )
            if row[name] is not None
        ]
        table.add_row(
            wall_text(row["ts_event"]),
            row["symbol"],
            row["action"],
            ", ".join(terms),
            row["action_id"],
        )
    Console().print(table)


def _values(
    type_: str | None,
    currency: str | None,
    limit: list[str] | None,
    restricted: str | None,
    easy_to_borrow: str | None,
    *,
    self_trade: bool | None,
) -> dict[str, Any]:
    from serving.account_changes import limits_of

    values: dict[str, Any] = {
        "type": type_,
        "currency": currency,
        "self_trade_allowed": self_trade,
    }
    given = {name: value for name, value in values.items() if value is not None}
    for name, text in (("restricted", restricted), ("easy_to_borrow", easy_to_borrow)):
        if text is not None:
            given[name] = (
                ",".join(one.strip().upper() for one in text.split(",") if one.strip()) or None
            )
    return given | limits_of(limit or [])


def _plain(value: object) -> str:
    """A value without zeros at the end of its decimals."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _tell(
    kind: str, symbol: str, at: str, id_: str | None, user: str | None, **terms: str | None
) -> None:
    from serving.account_changes import accounts_of
    from serving.corporate_action_rows import action_row

    texts = {"symbol": symbol, "action": kind, "ts_event": at, "action_id": id_, **terms}
    with accounts_of(load_settings(), user) as accounts:
        typer.echo(accounts.act([action_row(texts)]))
