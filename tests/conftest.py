"""Fixtures that every test may ask for: a log of its own, the shared market data, a real broker."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from connectors.log import Log, open_log
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from tests.stores import store_process

REQUIRED = {name for name in os.environ.get("TAPEFLOW_REQUIRE", "").split(",") if name}
# Behind the conformity tests, which compile every kernel: two crowds of programs that compile are too much at once.
_LONG = (
    "tests/conformity",
    "tests/test_readme",
    "tests/end_to_end/chaos",
    "tests/serving/dashboard",
    "tests/end_to_end",
    "tests/infra",
    "tests/connectors/test_kafka",
    "tests/serving",
)
# No test is timed, and what examples share by a fixture, their tests know. A run that must hold says the same twice; one
# by hand tries other examples each time.
settings.register_profile(
    "tapeflow",
    deadline=None,
    derandomize=bool(REQUIRED),
    database=None if REQUIRED else settings.default.database,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tapeflow")
# Set where a test that is marked `own_process` has a process of its own.
_ALONE = "TAPEFLOW_TEST_ALONE"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def skip_or_fail(what: str, reason: str) -> None:
    """Skip, with the reason; fail where TAPEFLOW_REQUIRE says that it must be there."""
    if what in REQUIRED:
        pytest.fail(f"TAPEFLOW_REQUIRE names {what}: {reason}")
    pytest.skip(reason)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules first: a worker that got one last would work alone for minutes."""
    items.sort(
        key=lambda item: next(
            (at for at, name in enumerate(_LONG) if item.nodeid.startswith(name)), len(_LONG)
        )
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that opens chDB itself in a process of its own: programs open it alone, never beside all else."""
    if pyfuncitem.get_closest_marker("own_process") is None or _ALONE in os.environ:
        return None
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    plain = ["-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        env=inherited | {_ALONE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr, pytrace=False)
    return True


class _AtOnce:
    """Tells a failure when it happens: a run that is cut off has no summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_sep("_", f"{report.when} of {report.nodeid}")
            self._terminal.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        config.pluginmanager.register(_AtOnce(terminal))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real market data beside the checkout."""
    if not SHARED.is_dir():
        skip_or_fail(
            "shared", f"no market data: {SHARED.parent} is absent; put it beside the checkout"
        )
    return SHARED


@pytest.fixture
def sqlite_log(tmp_path: Path) -> Iterator[Log]:
    """An empty SQLite log of the test's own."""
    with open_log(f"sqlite:///{tmp_path / 'log.db'}") as log:
        yield log


@pytest.fixture
def store_url(tmp_path: Path) -> Iterator[str]:
    """An empty embedded store of the test's own, served by a process of its own."""
    with store_process(tmp_path / "store"):
        yield f"chdb:///{tmp_path / 'store'}"


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[str]:
    """Address of a real Kafka broker that the whole run shares: topics need names of the test's own."""
    broker = ExitStack()
    try:
        address = broker.enter_context(start_broker())
    except BrokerError as error:
        skip_or_fail("kafka", str(error))
    with broker:
        yield address
