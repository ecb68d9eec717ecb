"""Every flow, as `tests.conformity` finds them."""

from tests.conformity.conftest import pytest_generate_tests

__all__ = ["pytest_generate_tests"]
