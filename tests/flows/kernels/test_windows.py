"""Windows of highs and lows that are carried along, beside numpy's over whole series."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from flows.kernels.indicators.windows import range_step

# Few values, so that many are equal.
_VALUES = st.integers(-3, 3).map(float)


@given(period=st.integers(1, 9), pairs=st.lists(st.tuples(_VALUES, _VALUES), max_size=60))
def test_the_range_of_a_window_is_that_of_its_last_values(
    period: int, pairs: list[tuple[float, float]]
) -> None:
    lows, highs = np.full(period, np.nan), np.full(period, np.nan)
    position, lowest, highest = 0, np.nan, np.nan
    found = []
    for low, high in pairs:
        position, lowest, highest, bottom, top = range_step(
            lows, highs, (position, lowest, highest), low, high
        )
        found.append((bottom, top))
    if len(pairs) >= period:
        low, high = np.array(pairs).T
        wanted = np.array(
            [
                sliding_window_view(low, period).min(axis=1),
                sliding_window_view(high, period).max(axis=1),
            ]
        )
        np.testing.assert_array_equal(np.array(found[period - 1 :]).T, wanted)
