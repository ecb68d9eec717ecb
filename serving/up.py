"""`tapeflow up`: every program, supervised, on one machine."""

from threading import Event

from rich.console import Console

from connectors.chdb_address import Address, running_store, store_path
from connectors.control import progress_topic
from connectors.log import open_log
from connectors.metrics import PROGRAMS, port_of
from connectors.metrics import serve as serve_metrics
from connectors.receipt_keys import load_private
from connectors.topics import create_topics
from serving.api.address import running_api
from serving.settings import Settings
from serving.settings_sources import program_environment
from serving.supervisor import Program, Supervisor
from serving.user_changes import first_admin

# Landing may take some milliseconds longer when all is busy; what flows emit is waited for.
_STEP_BACK = 5


def supervisor_of(settings: Settings, *, api: bool = False) -> Supervisor:
    """A supervisor of store, flows, lander and clock, and of the API if said; the log's topics are made first.

    With a ClickHouse server as the store, there is no store to start.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with open_log(settings.log) as log:
        create_topics(log, settings.partitions)
    environment = program_environment(settings)
    # Only the flows need their names and parameters; checking them loads all that computes, for a second a program.
    no_flows = {**environment, "TAPEFLOW_FLOWS": "{}", "TAPEFLOW_RUN_FLOWS": ""}
    lean = {**no_flows, "TAPEFLOW_USERS": ""}
    programs = [
        Program(
            name="flows",
            arguments=["run"],
            environment={**environment, "TAPEFLOW_USERS": ""},
            ready=lambda: _flows_have_begun(settings),
        ),
        Program(
            name="lander",
            arguments=["land"],
            environment=lean,
            # It would open the store's files itself if it came first.
            after=("store",) if settings.store.startswith("chdb:") else (),
            nice=_STEP_BACK,
        ),
        Program(name="clock", arguments=["clock"], environment=lean),
    ]
    if api:
        programs.append(
            Program(
                name="api",
                arguments=["serve"],
                environment=no_flows,
                ready=lambda: running_api(settings.home) is not None,
            )
        )
    if settings.receipt_every_s:
        # A key that is not there is told here, and not in a file by a program that ends again and again.
        load_private(settings.receipt_key_path)
        seal = ["receipt", "seal", "--every", str(settings.receipt_every_s)]
        programs.append(Program(name="receipts", arguments=seal, environment=lean, nice=_STEP_BACK))
    if settings.store.startswith("chdb:"):
        store = Program(
            name="store",
            arguments=["store"],
            environment=lean,
            ready=lambda: store_address(settings) is not None,
            nice=_STEP_BACK,
        )
        programs.insert(0, store)
    return Supervisor(programs, settings.logs_path)


def _flows_have_begun(settings: Settings) -> bool:
    """Whether every shard of every flow has written a progress record, now or in an earlier life.

    Of those that are run: what others were about to begin once, nobody goes on with.
    """
    with open_log(settings.log) as log:
        topics = log.topics()
        prepared = [name for name in topics if name.startswith(progress_topic(""))]
        wanted = [progress_topic(name) for name in settings.run_flows] or prepared
        return bool(wanted) and all(
            name in topics
            and all(log.end(name, shard) > 0 for shard in range(topics[name].partitions))
            for name in wanted
        )


def store_address(settings: Settings) -> Address | None:
    """Where the embedded store listens, or None where it does not run or is a server elsewhere."""
    if not settings.store.startswith("chdb:"):
        return None
    return running_store(store_path(settings.store))


def whereabouts(settings: Settings) -> list[tuple[str, str]]:
    """What is where, as pairs of name and place."""
    address = store_address(settings)
    http = settings.store if address is None else address.url
    api = running_api(settings.home)
    places = [
        *([("dashboard and API", api.url)] if api is not None else []),
        ("log", settings.log),
        ("ClickHouse", http),
        ("lake", str(settings.lake_path)),
        ("what programs print", str(settings.logs_path)),
    ]
    if settings.metrics:
        host, first = port_of(settings.metrics, PROGRAMS[0])
        _, last = port_of(settings.metrics, PROGRAMS[-1])
        places.append(("metrics", f"http://{host}:{first} … {last}/metrics"))
    return places


def examples(settings: Settings) -> list[str]:
    """Commands to try."""
    address = store_address(settings)
    found = [
        "tapeflow feed PATH",
        "tapeflow sql 'SELECT symbol, count() FROM trades GROUP BY symbol'",
        "tapeflow tail bars",
    ]
    if address is not None:
        found.append(f"curl '{address.url}/?query=SELECT+count()+FROM+trades'")
    return found


def run_up(settings: Settings, stop: Event) -> None:
    """Run everything until told to stop, and say where it is.

    Raises
    ------
    SupervisorError
        Where a program does not come up.
    """
    supervisor = supervisor_of(settings, api=True)
    serve_metrics(settings.metrics, "up")
    try:
        supervisor.start(stop)
        if not stop.is_set():
            _show(settings)
        supervisor.watch(stop)
    finally:
        supervisor.stop()


def _show(settings: Settings) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print("Tapeflow is up; Ctrl-C stops it.")
    for name, place in whereabouts(settings):
        console.print(f"  {name:<20} {place}")
    for line in first_admin(settings):
        console.print(f"  {line}", markup=False)
    console.print("In another terminal, in this folder:")
    for command in examples(settings):
        console.print(f"  {command}")
