"""`tapeflow receipt` keygen, seal and verify, as a user calls them."""

import os
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from connectors.feeds.simulate import SimulateOptions, simulate
from connectors.feeds.simulator import SimulatorOptions
from connectors.log import open_log
from connectors.receipt_keys import ReceiptKeyError, make_keys
from connectors.topics import create_topics
from serving.cli import app
from serving.settings import PREFIX, Settings
from serving.up import supervisor_of


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a small simulated market in its log."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("TAPEFLOW_HOME", str(home))
    market = SimulatorOptions(symbols=2)
    with open_log(Settings(home=home).log) as log:
        create_topics(log, 1)
        simulate(log, market, SimulateOptions(rows=2_000))
    return home


def _tapeflow(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_log_is_sealed_verified_and_its_head_kept_in_a_second_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    unsigned = _tapeflow("receipt", "seal")
    assert "`tapeflow receipt keygen` makes a pair" in str(unsigned.exception)
    assert _tapeflow("receipt", "keygen").exit_code == 0
    missing = _tapeflow("receipt", "seal", "--head-to", str(outside / "gone"))
    assert "mount it, or make it" in str(missing.exception)
    assert _tapeflow("receipt", "verify").exit_code == 1, "nothing was sealed"
    sealed = _tapeflow("receipt", "seal", "--head-to", str(outside), "--json")
    head = orjson.loads(sealed.stdout)
    assert (head["sealed"], head["link"]) == (True, 1)
    assert head["rows"] >= 2000
    assert (outside / "receipt-heads.txt").read_text() == f"1 {head['head']}\n"
    monkeypatch.setenv("TAPEFLOW_RECEIPT_HEADS", str(outside))
    again = _tapeflow("receipt", "seal")
    assert again.stdout.splitlines()[1] == f"head {head['head']}"
    assert again.stdout.startswith("nothing new since link 1")
    verified = _tapeflow("receipt", "verify", "--head", head["head"], "--json")
    assert verified.exit_code == 0, verified.output
    found = orjson.loads(verified.stdout)
    assert (found["ok"], found["links"], found["rows"]) == (True, 1, head["rows"])
    wrong = _tapeflow("receipt", "verify", "--head", "0" * 64)
    assert wrong.exit_code == 1
    assert "WRONG: the chain: no link has the head" in wrong.stdout
    monkeypatch.delenv("TAPEFLOW_RECEIPT_HEADS")
    bare = _tapeflow("receipt", "verify")
    assert bare.exit_code == 0
    assert "no head from outside was given" in bare.stdout


def test_a_receipt_of_topics_is_what_the_verb_gives_without_a_word(home: Path) -> None:
    short = _tapeflow("receipt", "trades", "--json")
    assert short.exit_code == 0, short.output
    assert list(orjson.loads(short.stdout)) == ["trades"]
    assert _tapeflow("receipt", "rows", "trades", "--json").stdout == short.stdout
    everything = orjson.loads(_tapeflow("receipt", "--json").stdout)
    assert everything["trades"] == orjson.loads(short.stdout)["trades"]
    assert len(everything) > 10


def test_up_seals_only_where_it_is_told_how_often_and_has_a_key(tmp_path: Path) -> None:
    with pytest.raises(ReceiptKeyError, match="no private key"):
        supervisor_of(Settings(home=tmp_path, receipt_every_s=60))
    make_keys(tmp_path / "receipt-key.pem")
    told = supervisor_of(Settings(home=tmp_path, receipt_every_s=60))
    assert "receipts" in {program.name for program in told._programs}
    usual = supervisor_of(Settings(home=tmp_path))
    assert "receipts" not in {program.name for program in usual._programs}
