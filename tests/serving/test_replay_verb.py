"""The verbs `replay` and `runs` as they are typed, and the same from Python."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner, Result

import tapeflow
from connectors.log import open_log
from serving.cli import app
from serving.settings import Settings
from tests.serving.lived import lived
from tests.stores import store_process

Typed = Callable[..., Result]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    settings = Settings(home=tmp_path_factory.mktemp("verb"))
    with open_log(settings.log) as log:
        lived(log, 1, epoch=False, commits=4)
    with store_process(settings.home / "store"):
        yield settings.home


@pytest.fixture
def typed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    for name in [name for name in os.environ if name.startswith("TAPEFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TAPEFLOW_HOME", str(home))
    monkeypatch.setenv("TAPEFLOW_CONFIG", "")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return run


@pytest.mark.parametrize(
    ("words", "flows"),
    [
        (["--compare", "--json"], {"bars", "indicators", "intake", "trade_signs"}),
        (["--compare", "bars", "--json"], {"bars"}),
        (["bars", "--json", "--compare"], {"bars"}),
        (["--flows", "bars,trade_signs", "--compare", "live", "--json"], {"bars", "trade_signs"}),
        (["bars", "--compare=live", "--json"], {"bars"}),
    ],
)
def test_compare_stands_alone_or_takes_what_to_compare_with(
    typed: Typed, words: list[str], flows: set[str]
) -> None:
    done = typed("replay", *words)
    found = orjson.loads(done.stdout)
    assert done.exit_code == 0
    assert {one["flow"] for one in found} == flows
    assert all(one["identical"] and one["first_difference"] is None for one in found)


def test_a_replay_without_a_purpose_is_refused(typed: Typed) -> None:
    done = typed("replay", "bars")
    assert done.exit_code == 2
    assert "what is to become" in done.output


def test_a_run_is_not_compared_with_itself(typed: Typed) -> None:
    done = typed("replay", "bars", "--into", "trial", "--compare", "trial")
    assert "run 'trial' is to be compared with itself" in str(done.exception)


def test_a_run_is_made_listed_compared_read_and_dropped(
    typed: Typed, home: Path, tmp_path: Path
) -> None:
    params = tmp_path / "params.toml"
    params.write_text("[flows.bars]\nintervals = ['3s']\n")
    into = ["replay", "bars", "--params", str(params), "--into", "trial"]
    done = typed(*into, "--compare", "--json")
    assert done.exit_code == 1
    rows = orjson.loads(done.stdout)["run"]["rows"]["bars"]
    (listed,) = orjson.loads(typed("runs", "--json").stdout)
    assert (listed["run"], listed["flows"], listed["complete"]) == ("trial", ["bars"], True)
    assert listed["rows"]["bars"] == rows > 0
    assert listed["params_hash"]
    assert listed["size_bytes"] > 0
    told = typed("runs").stdout
    assert listed["params_hash"] in told
    assert "run_trial" in told
    again = typed("replay", "bars", "--compare", "trial")
    assert again.exit_code == 1
    assert "rows only in run trial" in again.stdout
    with tapeflow.open(home) as desk:
        assert desk.runs()["run"].to_list() == ["trial"]
        kept = desk.rows("bars", run="trial")
        assert kept.height == rows == desk.scan("bars", run="trial").collect().height
        assert desk.sql("SELECT count() AS n FROM run_trial.bars")["n"].item() == rows
        same = desk.replay("bars", intervals=["3s"])["bars"]
        assert same.height == rows
        never_ran = desk.replay("event_bars")["event_bars"]
        assert never_ran.height > 0
        middle = same["ts_event"].sort()[rows // 2]
        ranges = [{"end": middle.isoformat()}, {"begin": middle.isoformat()}]
        parts = [desk.replay("bars", intervals=["3s"], **one)["bars"] for one in ranges]
        assert pl.concat(parts).height == rows
        assert parts[0]["ts_event"].max() < middle == parts[1]["ts_event"].min()
    assert typed("runs", "drop", "trial").exit_code == 0
    assert orjson.loads(typed("runs", "--json").stdout) == []
    gone = typed("runs", "drop", "trial")
    assert "no run 'trial'" in str(gone.exception)
