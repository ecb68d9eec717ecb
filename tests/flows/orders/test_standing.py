"""Standing orders: the best of a side is the first of all that stand, whenever it is asked for."""

import numpy as np
import pytest

from flows.orders.exposure import NO_PRICE, Standing


@pytest.mark.parametrize("asked", [0.02, 0.5])
def test_the_best_order_is_the_smallest_of_all_that_stand(asked: float) -> None:
    rng = np.random.default_rng(int(asked * 100))
    standing, known = Standing(), {}
    for number in range(2_000):
        order_id = f"o{int(rng.integers(0, 60))}"
        if rng.random() < 0.4:
            standing.pop(order_id, None)
            known.pop(order_id, None)
        else:
            # A buyer's rank is below zero, one at any price is the first.
            rank = int(rng.choice([-NO_PRICE, -3, -2, -1, 0, 1, NO_PRICE]))
            standing.add(order_id, rank, number)
            known[order_id] = (rank, number, order_id)
        if rng.random() < asked:
            best = min(known.values(), default=None)
            assert standing.best() == (None if best is None else (best[0], best[2]))
