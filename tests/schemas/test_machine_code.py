"""Machine code on disk, shared by processes that know nothing of each other."""

import os
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from schemas.machine_code import compiled

PROGRAM = """
import numpy as np
from twice import twice
print(twice({}))
"""
# Numba's own way writes its index and then the code: the last write would be the fourth.
WRITES_OF_NUMBA = 2
TWICE = """
from schemas.machine_code import compiled

@compiled
def twice(value):
    return value * {}
"""


def run_twice(folder: Path, argument: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("NUMBA_CACHE_DIR", None)
    run = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM.format(argument)],
        cwd=folder,
        capture_output=True,
        check=True,
        env=environment,
        text=True,
    )
    return run.stdout.strip()


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "__pycache__").glob("twice.*"))


def test_two_programs_that_write_two_signatures_at_once_read_back_each_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (tmp_path / "written_at_once.py").write_text(TWICE.format(2))
    function = import_module("written_at_once").twice.py_func
    one, other = compiled(function), compiled(function)
    replace = os.replace
    calls = iter(range(9))

    def in_between(source: Path, target: Path) -> None:
        """The other program writes all that it has amid the first one's write; the second write never comes."""
        call = next(calls)
        if call == 0:
            other(np.float64(0.5))
        elif call == WRITES_OF_NUMBA + 1:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", in_between)
    with suppress(KeyboardInterrupt):
        one(np.int64(1))
    monkeypatch.undo()
    assert next(calls) > 1, "nothing was written amid the first one's write"
    after = [compiled(function)(np.int64(3)), compiled(function)(np.float64(1.5))]
    assert [repr(value) for value in after] == ["6", "3.0"]


def test_code_of_an_older_version_is_neither_read_nor_kept(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(TWICE.format(2))
    assert run_twice(tmp_path, "21") == "42"
    older = kept(tmp_path)
    (tmp_path / "twice.py").write_text(TWICE.format(3))
    assert run_twice(tmp_path, "21") == "63"
    assert len(older) == len(kept(tmp_path)) == 1
    assert older != kept(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "turned", "of another signature"])
def test_damaged_code_is_compiled_again(tmp_path: Path, damage: str) -> None:
    (tmp_path / "twice.py").write_text(TWICE.format(2))
    run_twice(tmp_path, "21")
    (file,) = kept(tmp_path)
    if damage == "of another signature":
        run_twice(tmp_path, "21.0")
        (other,) = set(kept(tmp_path)) - {file}
        damaged = other.read_bytes()
    else:
        damaged = file.read_bytes()[:-9] if damage == "cut" else file.read_bytes()[:-9] + b"\0" * 9
    file.write_bytes(damaged)
    assert run_twice(tmp_path, "21") == "42"
    assert file.read_bytes() != damaged


def test_a_folder_that_is_only_for_reading_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "twice.py").write_text(TWICE.format(2))
    (tmp_path / "__pycache__").mkdir()
    run_twice(tmp_path, "21")
    (file,) = kept(tmp_path)
    file.unlink()
    file.mkdir()  # what root cannot replace by a file either
    assert run_twice(tmp_path, "21") == "42"


def test_a_program_that_runs_a_kernel_loads_no_scipy(tmp_path: Path) -> None:
    """Numba looks for its BLAS, which no kernel uses, at the first kernel: a tenth of a flow's start."""
    (tmp_path / "twice.py").write_text(TWICE.format(2))
    loaded = PROGRAM.format("21") + "import sys; print('scipy.linalg' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in ("compiled", "read"):
        run = subprocess.run(
            [sys.executable, "-B", "-c", loaded],
            cwd=tmp_path,
            capture_output=True,
            check=True,
            env=environment,
            text=True,
        )
        assert run.stdout.split() == ["42", "False"]


def test_scipy_itself_is_as_it_was() -> None:
    assert import_module("scipy.linalg").blas.ddot([1.0, 2.0], [3.0, 4.0]) == 11.0
    assert sys.modules["scipy.linalg.cython_blas"] is not None
