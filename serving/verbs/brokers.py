"""The verb `broker`: the program between orders and an outside broker."""

from typing import Annotated, Literal

import typer


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command()(broker)


def broker(
    name: Annotated[Literal["alpaca"], typer.Argument(help="Which broker.")],
    *,
    url: Annotated[
        str, typer.Option(help="Address of its API; Alpaca's paper account by default.")
    ] = "",
    stream_url: Annotated[str, typer.Option(help="Address of its stream of trade updates.")] = "",
) -> None:
    """Send orders of venue ALPACA to Alpaca, and report what becomes of them."""
    import os

    import structlog

    from connectors.brokers.alpaca import AlpacaAccount, AlpacaBroker
    from connectors.brokers.alpaca_rest import PAPER_URL
    from connectors.brokers.alpaca_stream import PAPER_STREAM_URL
    from connectors.brokers.errors import BrokerError
    from connectors.log import open_log
    from connectors.topics import create_topics
    from serving.logs import configure_logs
    from serving.settings_sources import load_settings
    from serving.stopping import stop_event

    settings = load_settings()
    configure_logs()
    logger = structlog.get_logger("broker").bind(broker=name)
    secrets = {one: value.get_secret_value() for one, value in settings.credentials.items()}
    missing = [one for one in ("alpaca_key", "alpaca_secret") if not secrets.get(one)]
    if missing:
        raise BrokerError(f"set {' and '.join(missing)} in [credentials] of tapeflow.toml")
    account = AlpacaAccount(
        url=url or PAPER_URL,
        stream_url=stream_url or PAPER_STREAM_URL,
        key=secrets["alpaca_key"],
        secret=secrets["alpaca_secret"],
    )
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
        # No two programs should come back at the same moments.
        seed = int.from_bytes(os.urandom(4))
        AlpacaBroker(log, account, stop_event(), logger.info, seed).run()
    logger.info("broker stopped")
