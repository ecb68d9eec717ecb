"""Tapeflow for notebooks: ``import tapeflow; desk = tapeflow.open()``."""

from serving.client import Desk, open  # noqa: A004 - the name that a notebook is to read

__all__ = ["Desk", "open"]
