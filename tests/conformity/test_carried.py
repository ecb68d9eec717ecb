"""Flows whose state is carried over epochs: under whatever parameters, it goes on or says why it cannot."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from flows.catalog import catalog
from flows.engines.segments import Segment
from flows.engines.stepper import Stepper
from flows.flow import Flow, FlowError, Params
from tests.conformity.outputs import by_topic, same_bytes
from tests.conformity.workload import pieces, segments

CARRIED = [kind for kind in catalog().values() if kind.carried is not None]


def others(kind: type[Flow]) -> Iterator[tuple[str, Params]]:
    """The default parameters with one of them changed: a number to its least and to another, a flag to its opposite."""
    usual = kind.params_type()
    for name in kind.params_type.model_fields:
        value = getattr(usual, name)
        changed: list[Any] = []
        if isinstance(value, bool):
            changed = [not value]
        elif isinstance(value, int):
            changed = [0, 1, 2, value + 1]
        elif isinstance(value, tuple):
            changed = [(), value[:1]]
        for one in changed:
            try:
                yield name, kind.params_type(**{name: one})
            except ValueError:
                continue  # out of the parameter's range


CHANGES = [(kind, name, params) for kind in CARRIED for name, params in others(kind)]


def test_orders_and_positions_are_among_them() -> None:
    assert {"oms", "execution", "positions"} <= {kind.name for kind in CARRIED}


def both(one: Stepper, other: Stepper, steps: Sequence[Segment]) -> None:
    """Two steppers give the same for the same, and are then in the same state."""
    given = [
        by_topic(out for step in steps for out in stepper.take(step)) for stepper in (one, other)
    ]
    same_bytes(given[0], given[1])
    assert one.snapshot() == other.snapshot()


@pytest.mark.parametrize("carrying", CARRIED, ids=[kind.name for kind in CARRIED])
def test_an_epoch_with_the_same_parameters_changes_nothing(carrying: type[Flow]) -> None:
    params = carrying.params_type()
    steps = segments(carrying, pieces(carrying, 3, 1_500), 211)
    whole, parted = Stepper(carrying, params), Stepper(carrying, params)
    for at in range(0, len(steps), 5):
        both(whole, parted, steps[at : at + 5])
        parted.begin_epoch(params, [one.name for one in carrying.inputs], carried=True)


@pytest.mark.parametrize(
    ("carrying", "name", "params"),
    CHANGES,
    ids=[f"{kind.name}-{name}-{getattr(params, name)}" for kind, name, params in CHANGES],
)
def test_state_goes_on_under_any_other_parameter_or_an_error_names_it(
    carrying: type[Flow], name: str, params: Params
) -> None:
    steps = segments(carrying, pieces(carrying, 4, 1_000), 211)
    stepper = Stepper(carrying, carrying.params_type())
    middle = len(steps) // 2
    for one in steps[:middle]:
        stepper.take(one)
    refused = ""
    try:
        stepper.begin_epoch(params, [one.name for one in carrying.inputs], carried=True)
        # What a restart of the new epoch begins with.
        again = Stepper(carrying, params, stepper.snapshot())
        both(stepper, again, steps[middle:])
    except FlowError as error:
        refused = str(error)
    assert not refused or name in refused
