"""The notebooks, run from the first cell to the last on three days of real ticks."""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.lander import Lander
from connectors.log import open_log
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from flows.indicators import Indicators
from flows.nbbo import Nbbo
from serving.settings import Settings
from tests.stores import store_process

_NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    settings = Settings(home=tmp_path_factory.mktemp("notebooks"))
    with open_log(settings.log) as log:
        create_topics(log, 1)
        feed(log, [shared / "ticks" / "us_equity_taq" / "ibm"], FeedOptions())
        run_until_end(log, [Bars, Indicators, Nbbo])
        with store_process(settings.home / "store"):
            with Lander(log, settings.store, settings.lake_path) as lander:
                lander.run_until_end()
            yield settings.home


def test_every_notebook_is_run_here() -> None:
    assert {path.stem for path in _NOTEBOOKS.glob("*.ipynb")} == {"microstructure", "signals"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microstructure", "signals"])
def test_a_notebook_runs_to_its_end(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(_NOTEBOOKS.parent))
    notebook = nbformat.read(_NOTEBOOKS / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    pictures = sum(
        "image/png" in output.get("data", {}) for cell in cells for output in cell.outputs
    )
    assert pictures >= 2
    # A kept notebook has no output: what it shows is made by who runs it.
    kept = nbformat.read(_NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in kept.cells)
