"""docs/sql.md says what the code does: limits, quotas, tables, roles, verbs."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.sql_guard_functions import TABLE_FUNCTIONS
from connectors.sql_guard_tables import SYSTEM_TABLES
from connectors.store_quotas import Limits, Quota
from connectors.store_users import StoreRole, StoreUsers
from serving.cli import app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sql.md").read_text()


def _row(name: str) -> str:
    found = re.search(rf"^\| `?{re.escape(name)}`? \|(.*)$", PAGE, re.MULTILINE)
    assert found, f"no row of {name}"
    return found[1]


def test_limits_and_quotas_are_those_of_the_code() -> None:
    values = asdict(Limits()) | {f"quota.{name}": value for name, value in asdict(Quota()).items()}
    for name, value in values.items():
        assert re.search(r"[\d,]+", _row(name))[0] == f"{value:,}", name


def test_the_tables_of_system_and_the_table_functions_are_named() -> None:
    row = _row("tables and views")
    for names in SYSTEM_TABLES.values():
        assert all(f"`{name}`" in row for name in names)
    written = {name.lower() for name in re.findall(r"`(\w+)`", _row("table functions"))}
    assert written == TABLE_FUNCTIONS - {"numbers_mt", "zeros_mt", "generate_series"}


def test_every_role_has_its_row() -> None:
    assert all(_row(role) for role in StoreRole)


def test_the_verbs_of_the_page_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEFLOW_HOME", str(tmp_path))
    commands = re.findall(r"^tapeflow (store users .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 5
    runner = CliRunner()
    for command in commands:
        done = runner.invoke(app, command.split(), input="correct horse battery\n" * 2)
        assert done.exit_code == 0, (command, done.output)
    users = StoreUsers(tmp_path / "store")
    assert set(users.all()) == {"grafana"}
    assert runner.invoke(app, ["store", "users", "guest", "off"]).exit_code == 0
    assert not users.guest
    refused = runner.invoke(app, ["store", "users", "add", "grafana", "--key"])
    assert "there is a user 'grafana'" in str(refused.exception)
    for wrong in (["--role", "boss"], ["--limit", "seconds=x"], ["--limit", "nothing=1"]):
        assert runner.invoke(app, ["store", "users", "add", "x", "--key", *wrong]).exit_code != 0
    assert set(users.all()) == {"grafana"}
