"""How kernels are compiled and kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import flows.kernels.jit

INNER = """
from flows.kernels.jit import jit

@jit
def inner() -> int:
    return {}
"""
OUTER = """
from flows.kernels.inner import inner
from flows.kernels.jit import jit

@jit
def outer() -> int:
    return inner()
"""


def test_a_kernel_kept_on_disk_is_compiled_anew_if_one_that_it_calls_has_changed(
    tmp_path: Path,
) -> None:
    kernels = tmp_path / "flows/kernels"
    kernels.mkdir(parents=True)
    for folder in (kernels.parent, kernels):
        (folder / "__init__.py").touch()
    shutil.copy(flows.kernels.jit.__file__, kernels / "jit.py")
    (kernels / "outer.py").write_text(OUTER)
    answers = []
    for version in (1, 2):
        (kernels / "inner.py").write_text(INNER.format(version))
        program = "from flows.kernels.outer import outer; print(outer())"
        run = subprocess.run(
            [sys.executable, "-B", "-c", program], cwd=tmp_path, capture_output=True, check=True
        )
        answers.append(int(run.stdout))
    assert answers == [1, 2]


ELSEWHERE = """
from flows.kernels.jit import jit
from numbers_of_others import FACTOR

@jit
def own() -> int:
    return {} * FACTOR

@jit
def outer() -> int:
    return own()
"""


def test_a_kernel_elsewhere_is_compiled_anew_if_its_file_or_a_number_that_it_sees_has_changed(
    tmp_path: Path,
) -> None:
    answers = []
    for version, factor in ((2, 10), (3, 10), (3, 100)):
        (tmp_path / "elsewhere.py").write_text(ELSEWHERE.format(version))
        (tmp_path / "numbers_of_others.py").write_text(f"FACTOR = {factor}")
        # An age that does not change, as after a checkout or in an image: what counts is the content.
        for name in ("elsewhere.py", "numbers_of_others.py"):
            os.utime(tmp_path / name, (1_700_000_000, 1_700_000_000))
        program = "from elsewhere import outer; print(outer())"
        path = {"PYTHONPATH": str(Path(flows.kernels.jit.__file__).parents[2])}
        run = subprocess.run(
            [sys.executable, "-B", "-c", program],
            cwd=tmp_path,
            capture_output=True,
            check=True,
            env=os.environ | path,
        )
        answers.append(int(run.stdout))
    assert answers == [20, 30, 300]
