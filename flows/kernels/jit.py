"""The one way kernels are compiled: numba, cached on disk, without the GIL, strict arithmetic."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

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
    # Numba looks at the kernel's own file only, and would go on with machine code that has an older version
    # of a kernel from another file in it.
    compiled._cache._cache_file._source_stamp = _SOURCES  # noqa: SLF001 - it has no public way
    # The dispatcher is called as the function it was made of, whatever numba's own types say.
    return cast("Kernel", compiled)


def _sources() -> str:
    digest = sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


_SOURCES = _sources()
