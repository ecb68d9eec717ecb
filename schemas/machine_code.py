"""Functions compiled by numba, whose machine code many processes keep and read at once on one disk."""

import contextlib
import os
import pickle
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

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
    stamp = sha256(numba.__version__.encode() + own_file(function.__code__.co_filename) + made_of)
    code = _MachineCode(Path(kept.cache_path), name, stamp.hexdigest()[:_NAME])
    kept._cache_file = code  # noqa: SLF001
    # The dispatcher is called as the function it was made of, whatever numba's own types say.
    return cast("Function", dispatcher)


@cache
def own_file(name: str) -> bytes:
    """What a source file has in it, as a hash."""
    return sha256(Path(name).read_bytes()).digest()


class _MachineCode:
    """One file for the machine code of a function, one signature and one processor, named by what it was made of.

    Numba itself numbers these files by an index that it reads, adds to and writes back without a lock, and before the
    code is there: two processes that compile two signatures at once take the same number, and the one then runs the
    code of the other; a process killed in between leaves a number that leads to code of an older version. A name that
    follows from the contents can lead to nothing else. A file that is damaged, or of another key, is compiled again.
    """

    def __init__(self, folder: Path, name: str, stamp: str) -> None:
        self._folder, self._name, self._stamp = folder, name, stamp

    def load(self, key: Any) -> Any:
        try:
            digest, kept = _halves(self._file(key).read_bytes())
        except OSError:
            return None
        if sha256(kept).digest() != digest:
            return None
        of, data = pickle.loads(kept)  # noqa: S301 - lies beside the source that it was made of
        return data if of == key else None

    def save(self, key: Any, data: Any) -> None:
        kept = pickle.dumps((key, data), protocol=pickle.HIGHEST_PROTOCOL)
        file = self._file(key)
        half = file.with_suffix(f".{os.getpid()}")
        # What cannot be kept (a full disk, a folder that is only for reading) is compiled again by the next process.
        with contextlib.suppress(OSError):
            half.write_bytes(sha256(kept).digest() + kept)
            half.replace(file)
            self._forget_older()

    def flush(self) -> None:
        for file in self._folder.glob(f"{self._name}.*"):
            file.unlink(missing_ok=True)

    def _forget_older(self) -> None:
        for file in self._folder.glob(f"{self._name}.*"):
            if not file.name.startswith(f"{self._name}.{self._stamp}."):
                file.unlink(missing_ok=True)

    def _file(self, key: Any) -> Path:
        name = sha256(repr(key).encode()).hexdigest()[:_NAME]
        return self._folder / f"{self._name}.{self._stamp}.{name}.nbc"


def _halves(file: bytes) -> tuple[bytes, bytes]:
    return file[: sha256().digest_size], file[sha256().digest_size :]


_NAME = 16
