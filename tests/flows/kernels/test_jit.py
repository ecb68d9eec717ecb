"""How kernels are compiled and kept."""

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
