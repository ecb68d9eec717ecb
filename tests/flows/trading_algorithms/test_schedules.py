"""Schedules against independent solutions, and what holds of all of them."""

import doctest
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.trading import benchmarks
from flows.trading.algorithms import schedules
from flows.trading.algorithms.schedules import (
    almgren_chriss_kappa,
    almgren_chriss_shares,
    curve_shares,
    even_shares,
    jittered,
    target_quantity,
)


def optimal_holdings(slices: int, squared: float) -> np.ndarray:
    """Minimises sum n_k^2 + squared sum x_k^2 over holdings, x_0 = 1, x_N = 0, by its linear equations."""
    inner = slices - 1
    matrix = (
        np.diag(np.full(inner, 2.0 + squared))
        - np.diag(np.ones(inner - 1), 1)
        - np.diag(np.ones(inner - 1), -1)
    )
    right = np.zeros(inner)
    right[0] = 1.0
    return np.concatenate([[1.0], np.linalg.solve(matrix, right), [0.0]])


@pytest.mark.parametrize("slices", [2, 5, 40])
@pytest.mark.parametrize("squared", [1e-6, 0.01, 0.5, 30.0])
def test_the_trajectory_minimises_cost_and_risk(slices: int, squared: float) -> None:
    seconds = 60.0
    # squared = lambda sigma^2 tau^2 / eta
    kappa = almgren_chriss_kappa(
        risk_aversion=squared / seconds**2, volatility=2.0, impact=4.0, slice_seconds=seconds
    )
    shares = almgren_chriss_shares(slices, kappa, seconds)
    assert shares == pytest.approx(1.0 - optimal_holdings(slices, squared)[1:], abs=1e-9)


def test_the_example_of_the_paper_has_its_half_life() -> None:
    """Almgren and Chriss (2000), section 3.4: kappa of 0.61 a day, in units of days."""
    kappa = almgren_chriss_kappa(
        risk_aversion=1e-6, volatility=0.95, impact=2.5e-6 - 0.5 * 2.5e-7, slice_seconds=1.0
    )
    assert kappa == pytest.approx(0.61, abs=0.005)


def test_nobody_who_fears_no_risk_hurries() -> None:
    kappa = almgren_chriss_kappa(risk_aversion=0.0, volatility=1.0, impact=1.0, slice_seconds=60.0)
    assert kappa == 0.0
    assert almgren_chriss_shares(7, kappa, 60.0) == even_shares(7)


_PLANS = st.one_of(
    st.integers(1, 500).map(even_shares),
    st.lists(st.floats(0, 1e9), min_size=1, max_size=100).map(curve_shares),
    st.builds(almgren_chriss_shares, st.integers(1, 500), st.floats(0, 1e4), st.floats(1e-3, 1e5)),
)


@given(_PLANS)
def test_every_plan_goes_up_and_ends_with_the_whole(shares: list[float]) -> None:
    assert all(math.isfinite(share) and 0 <= share <= 1 for share in shares)
    assert all(before <= after for before, after in pairwise(shares))
    assert shares[-1] == 1.0


@given(_PLANS, st.integers(0, 10**24), st.integers(1, 10**13))
def test_slices_of_a_quantity_sum_to_it(shares: list[float], quantity: int, step: int) -> None:
    done = [0, *(target_quantity(quantity, share, step) for share in shares)]
    slices = [after - before for before, after in pairwise(done)]
    assert min(slices) >= 0
    assert sum(slices) == quantity


@given(st.integers(0, 1_000), st.text(max_size=10), st.floats(0, 1))
def test_jitter_is_the_same_for_the_same_order_and_within_its_bound(
    at: int, name: str, jitter: float
) -> None:
    found = jittered(at, name, jitter)
    assert 0 <= found <= jitter
    assert found == jittered(at, name, jitter)


def test_jitter_spreads_over_its_range() -> None:
    found = [jittered(at, "abcdefghij", 1.0) for at in range(2_000)]
    assert np.histogram(found, bins=10, range=(0, 1))[0].min() > 150


def test_a_curve_without_volume_is_flat() -> None:
    assert curve_shares([0.0, 0.0]) == [0.5, 1.0]


def test_the_examples_hold() -> None:
    for module in (schedules, benchmarks):
        found = doctest.testmod(module)
        assert (found.failed, found.attempted > 0) == (0, True), module.__name__
