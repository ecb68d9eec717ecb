"""The command line, ``tapeflow``. The verbs are in `serving.verbs`, and load what they need when called."""

import os
import sys

import typer

from serving.garbage import look_seldom
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

# Module to error: to load them all would take a second, at the end of a program that has something to say.
OPERATING_ERRORS = {
    "clickhouse_connect.driver.exceptions": "ClickHouseError",
    "connectors.brokers.errors": "BrokerError",
    "connectors.chdb_engine": "StoreError",
    "connectors.feeds.source": "FeedError",
    "connectors.log": "LogError",
    "connectors.metrics": "MetricsError",
    "connectors.parquet": "LakeError",
    "connectors.receipt_heads": "HeadsError",
    "connectors.receipt_keys": "ReceiptKeyError",
    "flows.flow": "FlowError",
    "schemas.codec": "CodecError",
    "schemas.sessions": "CalendarError",
    "serving.api.address": "ApiServerError",
    "serving.sql": "SqlError",
    "serving.supervisor": "SupervisorError",
    "serving.users.database": "UsersDatabaseError",
    "serving.users.errors": "UsersError",
    "serving.users.key_file": "KeyFileError",
}

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
    look_seldom()
    if not sys.stdout.isatty():
        # Rich would cut tables at 80 columns; a pipe has no width, and wants whole digests.
        os.environ.setdefault("COLUMNS", "200")
    try:
        app()
    except (SystemExit, KeyboardInterrupt):
        raise
    except _operating_errors() as error:
        sys.stderr.write(f"tapeflow: {error}\n")
        sys.exit(1)


def _operating_errors() -> tuple[type[Exception], ...]:
    """What may go wrong without a fault in the program: told in one message, without a traceback."""
    # What no module that is loaded has was not raised.
    loaded = (
        getattr(sys.modules[module], name, None)
        for module, name in OPERATING_ERRORS.items()
        if module in sys.modules
    )
    return (SettingsError, OSError, *(error for error in loaded if error is not None))


if __name__ == "__main__":
    main()
