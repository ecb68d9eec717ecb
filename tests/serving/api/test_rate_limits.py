"""Buckets that limit rates."""

from hypothesis import given
from hypothesis import strategies as st

from serving.api.rate_limits import Buckets


@given(
    rate=st.floats(0.1, 1e3),
    burst=st.floats(1, 20),
    waits=st.lists(st.sampled_from([0.0, 0.001, 0.1, 5.0]) | st.floats(0, 10), max_size=60),
)
def test_a_bucket_gives_no_more_than_its_rate_and_burst(
    rate: float, burst: float, waits: list[float]
) -> None:
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    times: list[float] = []
    for wait in waits:
        now[0] += wait
        told = buckets.take("x", rate, burst)
        if told:
            # So long as it says, and there is one.
            now[0] += told * (1 + 1e-9) + 1e-9
            assert buckets.take("x", rate, burst) == 0
        times.append(now[0])
    # In any stretch of time, not only since the beginning: what flows over is lost.
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= burst + rate * (end - begin) + 1e-5 * (1 + last - first)


def test_buckets_are_bounded_and_forget_who_asked_longest_ago() -> None:
    buckets = Buckets(lambda: 0.0, size_max=3)
    for name in "abc":
        assert buckets.take(name, 1, 1) == 0
    assert buckets.take("a", 1, 1) > 0
    assert buckets.take("d", 1, 1) == 0
    assert buckets.take("a", 1, 1) > 0
    assert buckets.take("b", 1, 1) == 0
