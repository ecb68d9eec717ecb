"""The verb receipt: rows and digests of topics, and the signed chain of what the log held."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from serving.settings_sources import load_settings


class _RowsByDefault(TyperGroup):
    """`tapeflow receipt trades` is `tapeflow receipt rows trades`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["rows", *args]
        return super().parse_args(ctx, args)


_receipt = typer.Typer(
    cls=_RowsByDefault,
    help="Rows and digests of topics (receipt [TOPIC]…), and the signed chain of them.",
)


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    _receipt.command()(rows)
    _receipt.command()(keygen)
    _receipt.command()(seal)
    _receipt.command()(verify)
    app.add_typer(_receipt, name="receipt")


def rows(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="Topics; all by default.")
    ] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print rows and digest of topics, counted from the log."""
    from connectors.log import open_log
    from serving.receipt import run_receipt

    with open_log(load_settings().log) as log:
        code = run_receipt(log, topics or [], as_json=json, out=sys.stdout)
    raise typer.Exit(code)


def keygen(
    *, json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Make the pair of keys that signs receipts, where the setting receipt_key says."""
    from serving.sealing import run_keygen

    raise typer.Exit(run_keygen(load_settings(), as_json=json, out=sys.stdout))


def seal(
    *,
    head_to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write heads there too; else the setting says."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Again and again, until Ctrl-C."),
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Go on with another key than the last link's.")
    ] = False,
    repaired: Annotated[
        bool, typer.Option("--repaired", help="The log is known to have lost sealed records.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Sign what the log has got since the last receipt, and print the chain's new head."""
    from serving.logs import configure_logs
    from serving.sealing import SealRequest, run_seal, run_seal_forever
    from serving.stopping import stop_event

    settings = load_settings()
    asked = SealRequest(heads=head_to, new_key=new_key, repaired=repaired)
    if every is not None:
        configure_logs()
        run_seal_forever(settings, asked, every_s=every, stop=stop_event())
        return
    raise typer.Exit(run_seal(settings, asked, as_json=json, out=sys.stdout))


def verify(
    *,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="HASH", help="A head kept outside; may be repeated."),
    ] = None,
    heads_from: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Heads kept there by seal; else the setting says."),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(metavar="PUBLIC", help="Public key that may have signed; may be repeated."),
    ] = None,
    lake: Annotated[
        bool, typer.Option("--lake", help="Count from the lake what the log's retention has cut.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check the chain, and count again from the log what it says; exit code 1 where a thing does not hold."""
    from serving.sealing import run_verify

    settings = load_settings()
    code = run_verify(
        settings,
        heads=head or [],
        heads_from=heads_from,
        keys=key or [],
        lake=f"lake:///{settings.lake_path}" if lake else None,
        as_json=json,
        out=sys.stdout,
    )
    raise typer.Exit(code)
