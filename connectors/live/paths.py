"""Paths into JSON messages: keys and list positions joined by dots."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

MISSING = object()
_WHOLE = "$."


class JsonPath:
    """A path, split once.

    Parameters
    ----------
    text : str
        Such as ``data.b.0``; with ``$.`` in front it starts at the whole message.

    Examples
    --------
    >>> JsonPath("b.0").find({"b": ["61.5", "2"]}, {})
    '61.5'
    """

    __slots__ = ("_parts", "_whole", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._whole = text.startswith(_WHOLE)
        self._parts = text.removeprefix(_WHOLE).split(".")

    def find(self, part: Any, message: Any) -> Any:
        """The value at the path in a part of a message; `MISSING` where there is none."""
        at = message if self._whole else part
        for name in self._parts:
            if isinstance(at, dict):
                at = at.get(name, MISSING)
            elif isinstance(at, list) and name.isdecimal() and int(name) < len(at):
                at = at[int(name)]
            else:
                return MISSING
        return at


class When:
    """Values that a message must have at paths; texts may hold ``*``."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = [(JsonPath(path), value) for path, value in wanted.items()]

    def fits(self, message: Any) -> bool:
        """Whether a message has them all."""
        for path, wanted in self._wanted:
            found = path.find(message, message)
            if isinstance(wanted, str) and isinstance(found, str):
                if not fnmatchcase(found, wanted):
                    return False
            # True is 1 in Python; in JSON it is not.
            elif found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
                return False
        return True
