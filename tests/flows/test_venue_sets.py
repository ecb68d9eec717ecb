"""Sets of venues as text, also when there are more of them than are kept."""

import numpy as np

from flows.keys import KeySlots
from flows.venue_sets import VenueSets


def test_names_are_in_alphabetical_order_and_the_empty_set_is_null() -> None:
    sets = VenueSets(KeySlots(["Q", "N", "P"], 62))
    column = sets.column(np.array([0b111, 0b011, 0b011, 0, 0b100, 0b011]))
    assert column.to_pylist() == ["N,P,Q", "N,Q", "N,Q", None, "P", "N,Q"]
    assert sets.column(np.array([0, 0])).to_pylist() == [None, None]
    assert sets.column(np.array([], dtype=np.int64)).to_pylist() == []


def test_the_last_of_the_most_venues_has_its_bit() -> None:
    names = [f"V{at:02}" for at in range(62)]
    column = VenueSets(KeySlots(names, 62)).column(np.array([1 << 61, (1 << 61) | 1]))
    assert column.to_pylist() == ["V61", "V00,V61"]


def test_more_sets_than_are_kept_are_written_as_rightly() -> None:
    names = [chr(ord("A") + at) for at in range(16)]
    sets = VenueSets(KeySlots(names, 62))
    rng = np.random.default_rng(1)
    for _ in range(12):
        bits = rng.integers(0, 1 << 16, size=8_000)
        want = [
            ",".join(name for at, name in enumerate(names) if one >> at & 1) or None
            for one in bits.tolist()
        ]
        assert sets.column(bits).to_pylist() == want
