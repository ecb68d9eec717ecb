"""Eight bytes of a text at once, wherever they begin: what comparing names byte by byte would cost many times."""

from collections.abc import Callable
from typing import Any, cast

from numba import types
from numba.extending import intrinsic

from schemas.arrays import Bytes


def _word(_typing_context: Any, _text: Any, _at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        text = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = builder.gep(text.data, [arguments[1]], inbounds=True)
        eight = builder.bitcast(first, context.get_value_type(types.int64).as_pointer())
        return builder.load(eight, align=1)

    return types.int64(_text, types.int64), generate


# ``word(text, at)`` is the eight bytes from ``at`` on, the first one lowest; all must lie within the text. Only
# kernels can call it.
word = cast("Callable[[Bytes, int], int]", intrinsic(_word))
