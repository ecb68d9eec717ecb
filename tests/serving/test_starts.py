"""What a program loads at its start: each is started by hand, and by tests hundreds of times."""

import subprocess
import sys
from importlib import import_module

import pytest

from serving.cli import OPERATING_ERRORS


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("connectors.feeds.program", {"numba", "polars", "clickhouse_connect"}),
        ("connectors.clickhouse", {"uvicorn", "chdb", "polars", "numba"}),
        ("serving.up", {"uvicorn", "clickhouse_connect", "sqlglot", "fastapi", "numba"}),
        ("serving.cli", {"pyarrow", "numpy", "sqlalchemy", "clickhouse_connect"}),
    ],
)
def test_a_program_loads_nothing_that_it_may_never_need(module: str, needless: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not needless & set(told.stdout.decode().split())


@pytest.mark.parametrize(("module", "name"), OPERATING_ERRORS.items())
def test_every_operating_error_is_there_by_its_name(module: str, name: str) -> None:
    assert issubclass(getattr(import_module(module), name), Exception)
