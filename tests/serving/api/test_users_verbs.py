"""Users and the audit log from the command line: `tapeflow users`, `tapeflow audit-log`."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from connectors.audit_log import read_rows
from connectors.log import open_log
from serving.cli import main
from serving.settings import PREFIX


@pytest.fixture
def command_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`tapeflow` in this process: exit code, standard output and standard error."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TAPEFLOW_HOME", str(home))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tapeflow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_users_are_managed_from_the_command_line(
    home: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    code, token, _ = command_line(
        "users", "add", "vera", "--role", "trader", "--trades", "A", "--sees", "B"
    )
    assert code == 0
    assert re.fullmatch(r"tfo_\S+\n", token)
    listed = orjson.loads(command_line("users", "list", "--json")[1])["users"]
    vera = next(one for one in listed if one["name"] == "vera")
    assert (vera["roles"], vera["accounts"]) == (["trader"], {"A": True, "B": False})
    assert "vera" in command_line("users", "list")[1]
    assert command_line("users", "change", "vera", "--role", "quant", "--inactive")[0] == 0
    for arguments, message in (
        (["add", "vera"], "there is a user 'vera' already"),
        (["add", "uma", "--role", "tradre"], "nearest known one is 'trader'"),
        (["unlock", "nobody"], "there is no user 'nobody'"),
        (["change", "admin", "--inactive"], "nobody would be left"),
    ):
        code, _, told = command_line("users", *arguments)
        assert code == 1
        assert told.startswith("tapeflow: ")
        assert message in told
    assert command_line("users", "change", "vera")[0] == 2
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        rows = read_rows(log, limit=10)
    assert all(row["actor"].endswith("(command line)") for row in rows[:4])
    changes = {(row["action"], row["subject"], row["result"]) for row in rows}
    assert ("user_new", "vera: roles trader, accounts B (see), A (trade)", "done") in changes
    assert ("user_change", "vera: roles quant, inactive", "done") in changes
    assert ("user_unlock", "nobody", "refused") in changes


def test_the_audit_log_is_verified_from_the_command_line(
    command_line: Callable[..., tuple[int, str, str]],
) -> None:
    command_line("users", "unlock", "tess")
    code, told, _ = command_line("audit-log", "verify", "--json")
    assert code == 0
    head = orjson.loads(told)["head"]
    assert command_line("audit-log", "verify", "--head", head)[0] == 0
    code, told, _ = command_line("audit-log", "verify", "--head", f"1:{'0' * 64}")
    assert (code, "THE CHAIN DOES NOT HOLD" in told) == (1, True)
    assert command_line("audit-log", "verify", "--head", "x")[0] == 1
