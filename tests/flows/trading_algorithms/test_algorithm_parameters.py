"""Wrong parameters are refused with words that say what is allowed; any JSON object gets an answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.trading.algorithms import ALGORITHMS
from flows.trading.interfaces import ONE
from tests.flows.trading_algorithms.stand_in import StandInMarket, ordered


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("twap", {"slices": 0}, "slices: input should be greater than or equal to 1 (1 to 1000)"),
        ("twap", {"slice": 5}, "slice is not known; there are start, end, duration_seconds"),
        ("twap", {"slices": "many"}, "slices: input should be a valid integer"),
        ("twap", {"jitter": 1}, "(0 to 0.9 of a slice)"),
        ("twap", {"start": "2013-10-07T14:00:00"}, "start: input should have timezone info"),
        ("twap", {"start": "1960-01-01T00:00:00Z"}, "start must be from 1970 to 2199"),
        (
            "vwap",
            {"start": "2013-10-07T14:00:00Z", "end": "2013-10-07T14:00:00Z"},
            "end must be later than start",
        ),
        (
            "vwap",
            {"duration_seconds": 5, "end": "2013-10-07T14:00:00Z"},
            "end and duration_seconds say the same",
        ),
        ("vwap", {"style": "bold"}, "style: input should be 'passive' or 'cross'"),
        ("vwap", {"completion": None}, "completion: input should be 'cross' or 'leave'"),
        ("implementation_shortfall", {"risk_aversion": -1}, "(0 to 1e6, per unit of money)"),
        ("implementation_shortfall", {"impact": 0}, "impact: input should be greater than 0"),
        ("pov", {}, "rate: field required (above 0, up to 1"),
        ("pov", {"rate": 1.5}, "less than or equal to 1"),
        ("iceberg", {}, "display_quantity is needed, here or in the order"),
        ("iceberg", {"display_quantity": "-5"}, "display_quantity: input should be greater than 0"),
        ("sniper", {}, "price is needed, here or as the order's limit"),
        ("sniper", {"price": "NaN"}, "price: input should be a finite number"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(
    name: str, params: dict[str, Any], said: str
) -> None:
    reason = ALGORITHMS[name].check(ordered(), params)
    assert reason is not None
    assert reason.startswith(f"parameters of {name}: ")
    assert said in reason


def test_what_the_order_says_needs_no_parameter() -> None:
    shown = replace(ordered(), display_quantity=100 * ONE)
    assert ALGORITHMS["iceberg"].check(shown, {}) is None
    assert ALGORITHMS["sniper"].check(ordered(limit=ONE), {}) is None
    assert ALGORITHMS["twap"].check(ordered(), {}) is None


_NAMES = (
    "start",
    "end",
    "duration_seconds",
    "slices",
    "jitter",
    "rate",
    "display_quantity",
    "price",
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
@given(params=st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=8), _VALUES, max_size=4))
def test_any_object_is_refused_or_can_be_begun_with(name: str, params: dict[str, Any]) -> None:
    kind, order = ALGORITHMS[name], ordered()
    if kind.check(order, params) is None:
        worker = kind(order, params)
        worker.begin(StandInMarket(), None)
        worker.saved()


def test_the_documentation_names_every_parameter_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs" / "orders.md").read_text()
    table = text.split("### Algorithms")[1].split("| algorithm | follows |")[0]
    told = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    declared: dict[str, set[str]] = {}
    for name, kind in ALGORITHMS.items():
        for field in kind.params_type.model_fields:
            declared.setdefault(field, set()).add(name)
    assert set(told) == set(declared)
    for field, names in declared.items():
        of = told[field].split("|")[2]
        assert of.strip() == "all" or {one for one in ALGORITHMS if f"`{one}`" in of} == names
