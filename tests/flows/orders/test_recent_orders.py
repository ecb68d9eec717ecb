"""Orders of a moment ago: those that a book adds leave what the desk's own count, look and addition leave."""

from dataclasses import replace

import numpy as np
import pytest

from flows.orders.account import RecentOrders
from flows.orders.limits import Limits

_MS = 1_000_000
_LIMITS = Limits(currency="USD", type="margin")


@pytest.mark.parametrize("maximum", [3, 8, 1_000])
@pytest.mark.parametrize(
    "limits",
    [
        replace(_LIMITS, max_orders_per_second=5),
        replace(_LIMITS, duplicate_window_ns=300 * _MS),
        replace(_LIMITS, duplicate_window_ns=300 * _MS, max_orders_per_second=7),
    ],
)
def test_what_is_taken_until_one_is_not_is_what_each_would_have_left(
    limits: Limits, maximum: int
) -> None:
    rng = np.random.default_rng(maximum)
    together, apart = RecentOrders(maximum), RecentOrders(maximum)
    refused = taken = now = 0
    for _ in range(3_000):
        now += int(rng.integers(0, 150)) * _MS
        ts_entry = now - int(rng.integers(0, 3)) * 100 * _MS
        order = ("AIG", int(rng.integers(0, 6)))
        most = limits.max_orders_per_second
        is_slow = most is None or apart.count(ts_entry) < most
        if together.take(ts_entry, limits, order):
            taken += 1
            assert is_slow
            apart.add(ts_entry, limits, order)
            if rng.random() < 0.8:
                continue
        elif is_slow:
            # The desk says whether it is a duplicate: it may have been forgotten.
            refused += 1
            together.settle(limits)
            assert together.last(order) == apart.last(order)
            apart.add(ts_entry, limits, order)
            together.add(ts_entry, limits, order)
        together.settle(limits)
        assert together.saved() == apart.saved()
    assert taken > 100
    assert refused > 0 or not limits.duplicate_window_ns
