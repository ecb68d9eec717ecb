"""The README is true: every command block and snippet in it is run, its tables are compared."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.catalog import catalog
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from serving.settings import PREFIX, Settings
from serving.settings_sources import load_settings
from tests.conftest import skip_or_fail

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MINUTES = 60


@dataclass(frozen=True)
class Block:
    """A fenced block, with the heading that it stands under."""

    heading: str
    language: str
    text: str


def _blocks() -> list[Block]:
    found, heading = [], ""
    for match in re.finditer(
        r"^#+ ([^\n]+)$|^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    ):
        if match[1]:
            heading = match[1]
        else:
            found.append(Block(heading, match[2], match[3]))
    return found


BLOCKS = _blocks()
TOUR, LIVE, REAL, MAKE = "A tour", "Live", "Real ticks", "Two commands"
QUANTS = "For quants"
WRONG = "When something goes wrong"
KAFKA = "On Kafka"
ORDERS = "Orders"  # walked by test_readme_orders.py


def _under(heading: str, *languages: str) -> list[Block]:
    blocks = [one for one in BLOCKS if one.heading == heading and one.language in languages]
    assert blocks, f"the README has no block under {heading!r}"
    return blocks


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    # Tests side by side are told a terminal of 80 columns, and a folded table hides words.
    kept.pop("COLUMNS", None)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # The API's own port may be another's on this machine.
    return {**kept, "PATH": path, "TAPEFLOW_API_PORT": "0"}


def _run(block: Block, folder: Path) -> str:
    command = (
        ["bash", "-euo", "pipefail", "-c", block.text]
        if block.language == "sh"
        else [sys.executable, "-W", "error", "-c", block.text]
    )
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=8 * MINUTES,
        check=False,
    )
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def _up(folder: Path) -> Iterator[None]:
    """`tapeflow up` in a folder, stopped with Ctrl-C."""
    log = folder / "up.txt"
    with log.open("w") as output:
        up = subprocess.Popen(
            ["tapeflow", "up"], cwd=folder, env=_environment(), stdout=output, stderr=output
        )
        try:
            deadline = time.monotonic() + MINUTES
            while "Tapeflow is up" not in log.read_text():
                assert up.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield
            up.send_signal(signal.SIGINT)
            assert up.wait(MINUTES) == 0, log.read_text()
        finally:
            up.kill()
            up.wait()


def test_every_block_is_run_or_compared_by_a_test_here() -> None:
    known = {
        (MAKE, "sh"),
        ("The data's way", "mermaid"),
        (TOUR, "sh"),
        (TOUR, "python"),
        (QUANTS, "sh"),
        (QUANTS, "python"),
        (WRONG, "sh"),
        (LIVE, "sh"),
        (LIVE, "python"),
        (ORDERS, "sh"),
        (ORDERS, "python"),
        (REAL, "sh"),
        (KAFKA, "toml"),
        ("Settings", "toml"),
    }
    assert {(block.heading, block.language) for block in BLOCKS} == known


def test_every_make_target_named_is_there() -> None:
    commands = [line for block in _under(MAKE, "sh") for line in block.text.splitlines()]
    named = {*commands, *re.findall(r"`(make \w+)`", README)}
    assert {"make demo", "make test"} <= named
    for command in sorted(named):
        done = subprocess.run(
            [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(20 * MINUTES)
def test_the_tour_can_be_walked(tmp_path: Path) -> None:
    outputs = [_run(block, tmp_path) for block in _under(TOUR, "sh", "python")]
    told = "\n".join(outputs)
    # The bar of the minute with two trades, in SQL; and the same closes in the notebook.
    assert re.search(r"162\.83\W+162\.9\W+162\.83\W+162\.9\W+300", told), told
    assert "identical" in told
    assert "NO" not in told.split()
    assert outputs[-1].count("IBM") >= 3, outputs[-1]
    asked = "\n".join(_run(block, tmp_path) for block in _under(QUANTS, "sh", "python"))
    assert "volume_profile: " in asked
    assert asked.count("162.83") >= 3, asked
    assert (tmp_path / "chart-IBM-1m.html").stat().st_size > 100_000
    proofs = [_run(block, tmp_path) for block in _under(WRONG, "sh")]
    assert "30s" in proofs[0], proofs[0]
    assert "run trial dropped" in proofs[0], proofs[0]
    assert "all holds" in proofs[1], proofs[1]
    assert (tmp_path / "quality.html").is_file()
    blocks = [one for one in _under(LIVE, "sh", "python") if one.text.strip() != "tapeflow up"]
    deadline = time.monotonic() + 3 * MINUTES
    with _up(tmp_path):
        live = [_run(block, tmp_path) for block in blocks]
        # On a crowded machine the first rows land a while behind the feed: whoever sees nothing yet asks again.
        while "SIM001" not in live[0] and time.monotonic() < deadline:
            live = [_run(block, tmp_path) for block in blocks]
    assert "SIM001" in live[0]
    assert int(live[0].split()[-1]) > 0, live[0]
    assert "IBM" in live[-1]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(20 * MINUTES)
def test_real_ticks_go_the_same_way(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (tmp_path / "shared").symlink_to(shared.parent)
    # Who comes here has walked the tour, with its newer trades of the same symbol.
    _run(_under(TOUR, "sh")[1], folder)
    told = "\n".join(_run(block, folder) for block in _under(REAL, "sh"))
    assert "IBM" in told
    assert "NO" not in told.split()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(20 * MINUTES)
def test_the_tour_goes_the_same_way_on_kafka(tmp_path: Path) -> None:
    (block,) = _under(KAFKA, "toml")
    (tmp_path / "tapeflow.toml").write_text(block.text)
    settings = load_settings({"TAPEFLOW_CONFIG": str(tmp_path / "tapeflow.toml")})
    assert (settings.partitions, settings.store.partition(":")[0]) == (3, "clickhouse")
    with ExitStack() as stack:
        try:
            address = stack.enter_context(start_broker())
        except BrokerError as error:
            skip_or_fail("kafka", str(error))
        # The broker is elsewhere, and there is no ClickHouse server here: the embedded one stands for it.
        here = block.text.replace("127.0.0.1:9092", address)
        here = re.sub("^store.*\n", "", here, flags=re.MULTILINE)
        (tmp_path / "tapeflow.toml").write_text(here)
        told = "\n".join(_run(one, tmp_path) for one in _under(TOUR, "sh"))
    assert re.search(r"162\.83\W+162\.9\W+162\.83\W+162\.9\W+300", told), told
    assert "identical" in told
    assert not (tmp_path / ".tapeflow" / "log.db").exists()


def test_the_settings_example_is_accepted(tmp_path: Path) -> None:
    (block,) = _under("Settings", "toml")
    path = tmp_path / "tapeflow.toml"
    path.write_text(block.text)
    settings = load_settings({"TAPEFLOW_CONFIG": str(path)})
    assert settings.partitions == 4
    assert settings.flows["bars"]["intervals"] == ["1s", "1m", "1d"]


def test_the_settings_table_is_that_of_the_settings() -> None:
    lines = ["| setting | environment | default | what |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default if name != "flows" else ""
        shown = f"`{default}`" if default is not None and str(default) else ""
        lines.append(f"| `{name}` | `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    assert "\n".join(lines) in README, "the README's table of settings should be:\n" + "\n".join(
        lines
    )


def test_every_variable_that_is_named_anywhere_is_one_that_programs_take() -> None:
    """Of one that is set and unknown, every program says so, and ends."""
    pages = [README, *(page.read_text() for page in (ROOT / "docs").glob("*.md"))]
    named = {name for page in pages for name in re.findall(rf"\b{PREFIX}[A-Z_]+", page)}
    assert len(named) > len(Settings.model_fields)
    for name in sorted(named - {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}):
        load_settings({name: ""})


def test_every_file_that_is_linked_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert links
    assert missing == []


def test_every_folder_in_the_table_is_there() -> None:
    table = README.split("## Where things are")[1]
    for folder in re.findall(r"^\| `(\w+)/`", table, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder


def test_the_tools_of_the_readme_are_there() -> None:
    """Where CI requires curl, its absence is a failure there and not a puzzle in the tour."""
    if not any(Path(folder, "curl").is_file() for folder in os.environ["PATH"].split(os.pathsep)):
        skip_or_fail("curl", "curl is not on the PATH; install it to run the README's tour")


def test_the_table_of_flows_names_every_flow() -> None:
    table = README.partition("<!-- flows:")[2].partition("\n\nTrades may")[0]
    named = [
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert sorted(named) == list(catalog())
