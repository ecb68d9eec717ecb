"""Finds every flow: those of the catalogue, and the samples that stand for orders without a real flow."""

import pytest

from flows.catalog import catalog
from tests.conformity.sample_flows import QuotesArrivedBeforeTrades, QuotesBeforeTrades

FLOWS = [*catalog().values(), QuotesBeforeTrades, QuotesArrivedBeforeTrades]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask every test with a ``kind`` parameter of every flow."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", FLOWS, ids=[kind.name for kind in FLOWS])
