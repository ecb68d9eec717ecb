"""The one way kernels are compiled: numba, cached on disk, without the GIL, strict arithmetic."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def jit(function: Kernel) -> Kernel:
    """Compile a kernel at its first call.

    ``fastmath`` stays off: sums run strictly left to right, so that results do not hang on how a
    stream was cut or on what the compiler finds fast today.
    """
    compiled = numba.njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function)
    # The dispatcher is called as the function it was made of, whatever numba's own types say.
    return cast("Kernel", compiled)
