"""Waits between attempts: doubling, spread by the seed, and over at a stated time."""

import doctest

import pytest

from connectors import backoff
from connectors.backoff import Backoff


def test_the_examples_in_the_documentation_are_true() -> None:
    results = doctest.testmod(backoff)
    assert results.attempted > 0
    assert results.failed == 0


def test_waits_double_to_the_longest_and_hang_on_the_seed_alone() -> None:
    def waits(seed: int) -> list[float]:
        one = Backoff(first_s=0.5, most_s=10, seed=seed)
        return [one.next_s() for _ in range(2000)]

    assert waits(1) == waits(1) != waits(2)
    for attempt, wait in enumerate(waits(1)):
        whole = min(10, 0.5 * 2 ** min(attempt, 20))
        assert whole / 2 <= wait <= whole
    one = Backoff(first_s=0.5, most_s=10, seed=1)
    for _ in range(9):
        one.next_s()
    one.reset()
    assert one.next_s() <= 0.5


def test_it_is_over_when_attempts_have_failed_for_the_stated_time() -> None:
    now = [0.0]
    one = Backoff(first_s=1, most_s=60, seed=1, give_up_s=10, clock=lambda: now[0])
    assert not one.is_over
    waited = 0.0
    while not one.is_over:
        wait = one.next_s()
        waited += wait
        now[0] += wait
    assert waited == pytest.approx(10)  # the last wait ends at the time of giving up, not behind it
    one.reset()
    assert not one.is_over
    assert one.next_s() <= 1


def test_without_a_time_it_is_never_over_and_with_none_at_the_first_failure() -> None:
    now = [0.0]
    patient = Backoff(first_s=1, most_s=60, seed=1, clock=lambda: now[0])
    patient.next_s()
    now[0] = 1e9
    assert not patient.is_over
    assert Backoff(first_s=1, most_s=60, seed=1, give_up_s=0).is_over
