"""Fused multiply-add: the product is not rounded before the sum, as TA-Lib's smoothing steps do it."""

from collections.abc import Callable
from typing import Any, cast

from numba import types
from numba.extending import intrinsic


def _fma(_typing_context: Any, _a: Any, _b: Any, _c: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


# ``fma(a, b, c)`` is a * b + c with one rounding, on any processor; only kernels can call it.
fma = cast("Callable[[float, float, float], float]", intrinsic(_fma))
