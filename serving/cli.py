"""The command line, ``tapeflow``. The verbs are in `serving.verbs`, and load what they need when called."""

import os
import sys

import typer

from serving.settings import SettingsError
from serving.verbs import (
    accounts,
    api,
    brokers,
    inputs,
    platform,
    programs,
    proofs,
    quality,
    queries,
    receipts,
    replays,
    topics,
)

app = typer.Typer(
    name="tapeflow",
    help="Market-data and trade-flow platform: replay equals live, provably.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
platform.add_to(app)
inputs.add_to(app)
programs.add_to(app)
queries.add_to(app)
topics.add_to(app)
proofs.add_to(app)
receipts.add_to(app)
quality.add_to(app)
replays.add_to(app)
accounts.add_to(app)
api.add_to(app)
brokers.add_to(app)


def main() -> None:
    """Run a verb; an operating error is one message on standard error and exit code 1."""
    if not sys.stdout.isatty():
        # Rich would cut tables at 80 columns; a pipe has no width, and wants whole digests.
        os.environ.setdefault("COLUMNS", "200")
    try:
        app()
    except (SystemExit, KeyboardInterrupt):
        raise
    # Evaluated only where something was raised, so that no verb loads other verbs' errors.
    except _operating_errors() as error:
        sys.stderr.write(f"tapeflow: {error}\n")
        sys.exit(1)


def _operating_errors() -> tuple[type[Exception], ...]:
    """What may go wrong without a fault in the program: told in one message, without a traceback."""
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from connectors.brokers.errors import BrokerError
    from connectors.chdb_engine import StoreError
    from connectors.feeds.source import FeedError
    from connectors.log import LogError
    from connectors.metrics import MetricsError
    from connectors.parquet import LakeError
    from connectors.receipt_heads import HeadsError
    from connectors.receipt_keys import ReceiptKeyError
    from flows.flow import FlowError
    from schemas.codec import CodecError
    from schemas.sessions import CalendarError
    from serving.api.address import ApiServerError
    from serving.sql import SqlError
    from serving.supervisor import SupervisorError
    from serving.users.database import UsersDatabaseError
    from serving.users.errors import UsersError
    from serving.users.key_file import KeyFileError

    return (
        SettingsError,
        BrokerError,
        LogError,
        FlowError,
        FeedError,
        CodecError,
        CalendarError,
        ReceiptKeyError,
        HeadsError,
        StoreError,
        LakeError,
        MetricsError,
        SqlError,
        ClickHouseError,
        SupervisorError,
        ApiServerError,
        UsersDatabaseError,
        UsersError,
        KeyFileError,
        OSError,
    )


if __name__ == "__main__":
    main()
