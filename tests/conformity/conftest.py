"""Finds every flow: those of the catalogue, and the samples that stand for orders without a real flow."""

import pytest

from flows.catalog import catalog
from flows.flow import Order
from tests.conformity.sample_flows import (
    GIVES_NOTHING_BY_DEFAULT,
    QuotesArrivedBeforeTrades,
    QuotesBeforeTrades,
)

FLOWS = [
    *(catalog() | GIVES_NOTHING_BY_DEFAULT).values(),
    QuotesBeforeTrades,
    QuotesArrivedBeforeTrades,
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask every test with a ``kind`` of every flow, with an ``event_kind`` of those in order EVENT."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", FLOWS, ids=[kind.name for kind in FLOWS])
    if "event_kind" in metafunc.fixturenames:
        merged = [kind for kind in FLOWS if kind.order is Order.EVENT]
        metafunc.parametrize("event_kind", merged, ids=[kind.name for kind in merged])
