"""Verbs that are programs of their own: run, land, clock, store. `tapeflow up` starts all of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from serving.settings import SettingsError
from serving.settings_sources import flow_params, load_settings
from serving.verbs.store_users import users_app

if TYPE_CHECKING:
    from threading import Event

    from flows.engines.lookups import LookUp


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command()(run)
    app.command()(land)
    app.command()(clock)
    stores = typer.Typer(invoke_without_command=True)
    stores.callback()(store)
    stores.add_typer(users_app(), name="users")
    app.add_typer(stores, name="store")


def run(
    flows: Annotated[
        list[str] | None,
        typer.Argument(metavar="FLOW", help="Flows; those of the setting run_flows by default."),
    ] = None,
    *,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the log's present end.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker threads; by default the setting.")
    ] = None,
    new_epoch: Annotated[
        bool,
        typer.Option("--new-epoch", help="Go on with another version or other parameters."),
    ] = False,
    forget_state: Annotated[
        bool,
        typer.Option(
            "--forget-state",
            help="With --new-epoch, where one begins or the state is lost: empty even of open orders, positions and cash.",
        ),
    ] = False,
) -> None:
    """Run flows on the log."""
    if forget_state and not new_epoch:
        raise typer.BadParameter("--forget-state forgets nothing by itself: say --new-epoch, too")
    from connectors.log import open_log
    from connectors.metrics import serve as serve_metrics
    from connectors.topics import create_topics
    from flows.engines import bytewax
    from flows.engines.metering import FlowMeter
    from flows.engines.shard import ShardOptions
    from serving.garbage import spare_what_is_loaded
    from serving.logs import configure_logs
    from serving.stopping import stop_event

    settings = load_settings()
    configure_logs()
    stop = stop_event()
    params = flow_params(settings, flows or settings.run_flows)
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
    serve_metrics(settings.metrics, "flows")
    # Without a look for garbage before it: modules leave none, and that takes as long as a flow's way back to its state.
    spare_what_is_loaded()
    bytewax.run(
        settings.log,
        tuple(params),
        params,
        workers=workers or settings.workers,
        until_end=until_end,
        options=ShardOptions(
            new_epoch=new_epoch,
            forget_state=forget_state,
            held_rows=settings.held_rows,
            on_commit=FlowMeter() if settings.metrics else None,
            look_up=_look_up(settings.schema_registry.get_secret_value(), stop),
        ),
        stop=stop,
    )


def _look_up(registry: str, stop: "Event") -> "dict[str, LookUp]":
    """Who is asked for what, by flow."""
    if not registry:
        return {}
    from connectors.schema_registry import SchemaRegistry

    return {"intake": SchemaRegistry(registry, stop=stop)}


def clock() -> None:
    """Pass time on for live sources, so that quiet symbols close."""
    from connectors.log import open_log
    from connectors.metrics import serve as serve_metrics
    from connectors.topics import create_topics
    from serving.clock import run_clock
    from serving.logs import configure_logs
    from serving.stopping import stop_event

    settings = load_settings()
    configure_logs()
    stop = stop_event()
    serve_metrics(settings.metrics, "clock")
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
    run_clock(settings.log, settings.live_lateness_s, stop)


def land(
    *,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the log's present end.")
    ] = False,
) -> None:
    """Land topics in ClickHouse and in the Parquet lake."""
    from connectors.lander import Lander
    from connectors.log import open_log
    from connectors.metrics import serve as serve_metrics
    from connectors.topics import create_topics
    from serving.logs import configure_logs
    from serving.stopping import is_supervised, stop_event
    from serving.trimming import retentions, trimming

    settings = load_settings()
    configure_logs()
    stop = stop_event()
    serve_metrics(settings.metrics, "lander")
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
        flush_ns = int(settings.lake_flush_s * 1e9)
        with Lander(
            log,
            settings.store,
            settings.lake,
            lake_flush_ns=flush_ns,
            give_up_s=settings.give_up_s,
            serves_store=not is_supervised(),
        ) as lander:
            if until_end:
                lander.run_until_end()
            else:
                # Who lands knows first what the log can do without.
                with trimming(settings.log, retentions(settings.retention)):
                    lander.run_forever(stop)


def store(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="By default the setting store_port.")
    ] = None,
    url: Annotated[
        bool, typer.Option("--url", help="Print where the running store is, and end.")
    ] = False,
) -> None:
    """Serve the embedded ClickHouse over its HTTP protocol."""
    if context.invoked_subcommand is not None:
        return
    import structlog

    from connectors.chdb_address import running_store, store_path
    from connectors.chdb_engine import StoreError
    from connectors.metrics import serve as serve_metrics
    from serving.logs import configure_logs
    from serving.stopping import stop_event

    settings = load_settings()
    if not settings.store.startswith("chdb:"):
        raise SettingsError(
            f"store = {settings.store!r} is a server elsewhere; only a chdb:///PATH is served here"
        )
    if url:
        address = running_store(store_path(settings.store))
        if address is None:
            raise StoreError(f"no store runs on {settings.store}; start it: `tapeflow store`")
        typer.echo(address.url)
        return
    from connectors.chdb_server import serve

    configure_logs()
    serve_metrics(settings.metrics, "store")
    logger = structlog.get_logger("store")
    serve(
        store_path(settings.store),
        host,
        settings.store_port if port is None else port,
        ready=lambda address: logger.info("store ready", url=address.url),
        stop=stop_event(),
    )
    logger.info("store stopped")
