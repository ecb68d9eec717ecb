"""The one way kernels are compiled: numba, cached on disk, without the GIL, strict arithmetic."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from schemas.machine_code import compiled

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
    return compiled(function, _made_of(function), fastmath=False, error_model="numpy", **options)


def _made_of(function: Callable[..., Any]) -> bytes:
    """Names all that machine code is made of beside its own file: every kernel here, numbers that it sees.

    Kernels elsewhere may call those here and in their own file, and numbers from anywhere are frozen in the code.
    """
    digest = sha256(_KERNELS)
    for name, value in sorted(function.__globals__.items()):
        parts = value if isinstance(value, tuple) else (value,)
        if all(isinstance(part, _NUMBERS) for part in parts):
            digest.update(f"{name}={value!r};".encode())
    return digest.digest()


def _kernels() -> bytes:
    digest = sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


_NUMBERS = (int, float, np.generic)
_KERNELS = _kernels()
