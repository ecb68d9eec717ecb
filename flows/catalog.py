"""Finds every flow: a concrete `Flow` subclass in a module of this package."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from types import ModuleType

import flows
from flows.flow import Flow


def catalog() -> dict[str, type[Flow]]:
    """Flow name to class, in order of name; a new flow is found by existing."""
    return dict(_catalog())


@cache
def _catalog() -> dict[str, type[Flow]]:
    found: dict[str, type[Flow]] = {}
    for module_info in pkgutil.walk_packages(flows.__path__, "flows."):
        if module_info.name.startswith(("flows.engines", "flows.kernels")):
            continue
        found |= _flows_in(importlib.import_module(module_info.name))
    return dict(sorted(found.items()))


def flows_named(names: Iterable[str]) -> dict[str, type[Flow]]:
    """Those of some names that there are, in that order.

    A flow that lies in the module of its name is loaded without the others: all of them, with their kernels, take
    half a second, which a program that is started again after a kill does not have.
    """
    found: dict[str, type[Flow]] = {}
    for name in dict.fromkeys(names):
        module = f"{flows.__name__}.{name}"
        own = {}
        if name.isidentifier() and find_spec(module) is not None:
            own = _flows_in(importlib.import_module(module))
        if name in own or name in (own := catalog()):
            found[name] = own[name]
    return found


def _flows_in(module: ModuleType) -> dict[str, type[Flow]]:
    return {
        kind.name: kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Flow)
        and not inspect.isabstract(kind)
        and kind.__module__ == module.__name__
    }
