"""The one way kernels are compiled: numba, cached on disk, without the GIL, strict arithmetic."""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def jit(function: Kernel) -> Kernel:
    """Compile a kernel at its first call.

    ``fastmath`` stays off: sums run strictly left to right, so that results do not hang on how a
    stream was cut or on what the compiler finds fast today. Division by zero gives infinity or NaN, as in
    numpy: no kernel raises.
    """
    return _compiled(function)


def jit_in_place(function: Kernel) -> Kernel:
    """Compile a kernel that makes no arrays, and calls only kernels that make none.

    As `jit`, but without reference counts: a view of an array costs nothing then, where counting costs a kernel that
    takes a few views for every row more than its work.
    """
    return _compiled(function, _nrt=False)


def _compiled(function: Kernel, **options: Any) -> Kernel:
    compiled: Any = numba.njit(
        cache=True, nogil=True, fastmath=False, error_model="numpy", **options
    )(function)
    # Numba looks at the age of the kernel's own file only, and would go on with machine code that has an older
    # version of a kernel from another file, or of a number, in it.
    compiled._cache._cache_file._source_stamp = _stamp(function)  # noqa: SLF001 - it has no public way
    # The dispatcher is called as the function it was made of, whatever numba's own types say.
    return cast("Kernel", compiled)


def _stamp(function: Callable[..., Any]) -> str:
    """Names all that machine code is made of: every kernel here, the function's own file, numbers that it sees.

    Kernels elsewhere may call those here and in their own file, and numbers from anywhere are frozen in the code.
    """
    digest = sha256(_KERNELS)
    digest.update(_own_file(function.__code__.co_filename))
    for name, value in sorted(function.__globals__.items()):
        parts = value if isinstance(value, tuple) else (value,)
        if all(isinstance(part, _NUMBERS) for part in parts):
            digest.update(f"{name}={value!r};".encode())
    return digest.hexdigest()


@cache
def _own_file(name: str) -> bytes:
    return sha256(Path(name).read_bytes()).digest()


def _kernels() -> bytes:
    digest = sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


_NUMBERS = (int, float, np.generic)
_KERNELS = _kernels()
