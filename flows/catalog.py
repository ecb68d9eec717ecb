"""Finds every flow: a concrete `Flow` subclass in a module of this package."""

import importlib
import inspect
import pkgutil

import flows
from flows.flow import Flow


def catalog() -> dict[str, type[Flow]]:
    """Flow name to class, in order of name; a new flow is found by existing."""
    found: dict[str, type[Flow]] = {}
    for module_info in pkgutil.walk_packages(flows.__path__, "flows."):
        if module_info.name.startswith(("flows.engines", "flows.kernels")):
            continue
        module = importlib.import_module(module_info.name)
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if not issubclass(kind, Flow) or inspect.isabstract(kind):
                continue
            if kind.__module__ == module.__name__:
                found[kind.name] = kind
    return dict(sorted(found.items()))
