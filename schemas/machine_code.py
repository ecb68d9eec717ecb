"""Functions compiled by numba, whose machine code many processes keep and read at once on one disk."""

import pickle
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from schemas.kept_files import KeptFiles, own_file

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function, made_of: bytes = b"", **options: Any) -> Function:
    """Compile a function at its first call, or read its machine code from where an earlier process left it.

    It runs without the GIL.

    Parameters
    ----------
    function : Callable
        A function that numba can compile. It may call other compiled ones of its own file.
    made_of : bytes
        Names whatever else the machine code is made of, as kernels of other files and numbers: code that was made of
        something else is not read. The function's own file always counts.
    options : Any
        As `numba.njit` has them.
    """
    dispatcher: Any = numba.njit(cache=True, nogil=True, **options)(function)
    kept = dispatcher._cache  # noqa: SLF001 - numba has no public way to another cache
    name = kept._impl.filename_base  # noqa: SLF001
    made_of = numba.__version__.encode() + own_file(function.__code__.co_filename) + made_of
    files = KeptFiles(Path(kept.cache_path), name, made_of=made_of, suffix="nbc")
    kept._cache_file = _MachineCode(files)  # noqa: SLF001
    # The dispatcher is called as the function it was made of, whatever numba's own types say.
    return cast("Function", dispatcher)


class _MachineCode:
    """One file for the machine code of a function, one signature and one processor, named by what it was made of.

    Numba itself numbers these files by an index that it reads, adds to and writes back without a lock, and before the
    code is there: two processes that compile two signatures at once take the same number, and the one then runs the
    code of the other; a process killed in between leaves a number that leads to code of an older version. A name that
    follows from the contents can lead to nothing else. A file that is damaged, or of another key, is compiled again.
    """

    def __init__(self, files: KeptFiles) -> None:
        self._files = files

    def load(self, key: Any) -> Any:
        kept = self._files.read(repr(key).encode())
        if kept is None:
            return None
        of, data = pickle.loads(kept)  # noqa: S301 - lies beside the source that it was made of
        return data if of == key else None

    def save(self, key: Any, data: Any) -> None:
        self._files.write(
            repr(key).encode(), pickle.dumps((key, data), protocol=pickle.HIGHEST_PROTOCOL)
        )

    def flush(self) -> None:
        self._files.forget()


def _leave_scipy_out() -> None:
    """Load the part of numba that looks for the BLAS of scipy, without finding it.

    No kernel multiplies matrices, and scipy takes a program 0.2 s at its first kernel wherever something else has it
    installed; nor may the order of a kernel's sums hang on whether something has.
    """
    blas, loaded = "scipy.linalg.cython_blas", cast("dict[str, Any]", sys.modules)
    before = {name: loaded[name] for name in (blas,) if name in loaded}
    loaded[blas] = None
    try:
        import_module("numba.np.arraymath")
    finally:
        del loaded[blas]
        loaded.update(before)


_leave_scipy_out()
